"""Rules of the models' arguments that `ModelConfig` checks for the programs."""

from collections.abc import Mapping, Sequence

from tfvrnn.config import require


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
    rule = f"`channels` must be of resolutions from {side}, the side of a frame, down to 1."
    known = len(channels) > 0 and (max(channels), min(channels)) == (side, 1)
    require(known, rule, sorted(channels, reverse=True))
    rule = f"`latent_resolutions` must be of {', '.join(map(str, sorted(channels)))}."
    require(len(levels) > 0 and set(levels) <= set(channels), rule, levels)
    increasing = list(levels) == sorted(set(levels))
    require(increasing, "`latent_resolutions` must increase, coarsest first.", levels)
    if latent_channels is None:
        latent_channels = [channels[resolution] for resolution in levels]
    known = len(latent_channels) == len(levels) and min(latent_channels) >= 1
    require(known, "`latent_channels` must be one number per latent level.", latent_channels)
    return (*levels,), (*latent_channels,)
