"""Rules of the models' arguments that `ModelConfig` checks for the programs."""

import math
from collections.abc import Mapping, Sequence

from tfvrnn.config import require
from tfvrnn.config.model import check_advection, check_initial_variance


def check_frames(image_shape: Sequence[int], context_frames: int, square: bool = True) -> None:
    """Raise UserError unless frames are (H, W, C), square if asked, and at least one is given."""
    known = len(image_shape) == 3 and min(image_shape) >= 1
    require(known, "`image_shape` must be (H, W, C).", image_shape)
    same = not square or image_shape[0] == image_shape[1]
    require(same, "`image_shape` must be that of square frames.", image_shape)
    require(context_frames >= 1, "`context_frames` must be at least 1.", context_frames)


def checked_levels(
    side: int,
    channels: Mapping[int, int],
    levels: Sequence[int],
    latent_channels: Sequence[int] | None,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the latent resolutions, and the latent channels of each.

    Args:
        side: of the frames, the largest resolution.
        channels: {resolution: channels} of the network's maps.
        levels: latent resolutions, which must be some of these and increase.
        latent_channels: one number per level; None: the channels of the maps.

    Raises:
        UserError: a rule is broken.
    """
    halvings = side // 8
    rule = "`image_shape` must have sides of 8 times a power of two (8, 16, 32, 64, 128, ...)."
    require(halvings > 0 and side % 8 == 0 and not halvings & (halvings - 1), rule, side)
    wanted = [side // 2**k for k in range(halvings.bit_length())] + [4, 1]
    rule = f"`channels` must be of the resolutions {', '.join(map(str, wanted))}."
    require(sorted(channels, reverse=True) == wanted, rule, sorted(channels, reverse=True))
    coarse = [channels[resolution] for resolution in (8, 4, 1)]
    require(len({*coarse}) == 1, "`channels` must be equal at 8, 4 and 1.", coarse)
    require(levels is not None, "`latent_resolutions` must be given.", levels)
    rule = f"`latent_resolutions` must be of {', '.join(map(str, sorted(channels)))}."
    require(len(levels) > 0 and set(levels) <= set(channels), rule, levels)
    increasing = list(levels) == sorted(set(levels))
    require(increasing, "`latent_resolutions` must increase, coarsest first.", levels)
    if latent_channels is None:
        latent_channels = [channels[resolution] for resolution in levels]
    known = len(latent_channels) == len(levels) and min(latent_channels) >= 1
    require(known, "`latent_channels` must be one number per latent level.", latent_channels)
    return (*levels,), (*latent_channels,)


def check_vrnn(
    side: int,
    groups: int,
    latent_feedback: str,
    forget_bias: float,
    initial_variance: float,
    advection: int,
) -> None:
    """Raise UserError for options that no VRNN has, given its side."""
    known = latent_feedback in ("none", "own")
    require(known, "`latent_feedback` must be none or own.", repr(latent_feedback))
    require(groups >= 1, "`groups` must be at least 1.", groups)
    require(math.isfinite(forget_bias), "`forget_bias` must be finite.", forget_bias)
    check_initial_variance(initial_variance)
    check_advection(advection, side)
