"""The options of a model."""

import math
from dataclasses import dataclass

from tfvrnn.config.options import check_fields, option, require, require_at_least

SMALLEST_CONV_MAP = 8
# Fewest values per group. At 1x1 these are its channels: normalising two leaves only their signs.
MINIMUM_GROUP = 4


def check_initial_variance(variance: float) -> None:
    """Raise UserError for a variance that latents cannot begin with."""
    rule = "`initial_variance` must lie in 0.0001 to 100."
    require(1e-4 <= variance <= 100.0, rule, variance)


def check_advection(window: int, side: int) -> None:
    """Raise UserError for a window that no frame of this side has."""
    known = window == 0 or (0 < window < side and window % 2 == 1)
    rule = f"`advection` must be 0, or an odd number below {side}, the side of a frame."
    require(known and not isinstance(window, bool), rule, window)


@dataclass(frozen=True)
class ModelConfig:
    """Options of the model. A family ignores the options that it does not use."""

    family: str = option("vrnn", "Kind of model.", ("vrnn", "svg", "prednet", "copy_last"))
    image_size: int = option(64, "Side of the square frames in pixels: 8, 16, 32, 64, 128, ...")
    channels: int = option(3, "Channels of a frame: 1 (grey) or 3 (colour).")
    width: int = option(64, "Channels of the finest feature maps; 64 in the paper.")
    max_channels: int = option(
        0,
        "vrnn: largest number of channels of a feature map. They double from `width` at every "
        "halving of the resolution. 0, as in the paper: up to 8 * width.",
    )
    context_frames: int = option(2, "Context frames, which are given to the model.")
    latent_resolutions: tuple[int, ...] | None = option(
        None,
        "vrnn: resolutions of the latent levels, coarsest first. Default: the paper's. Only 1: no "
        "hierarchy.",
    )
    latent_channels: tuple[int, ...] | None = option(
        None,
        "vrnn: latent channels per level, coarsest first. Default: as many as the encoder has at "
        "that resolution. The release has 10 without hierarchy.",
    )
    latent_feedback: str = option(
        "none",
        "vrnn: none, as in the release; own: prior and posterior also see their own level's "
        "earlier latents, as in eqs. 7 and 8 of the paper.",
        ("none", "own"),
    )
    groups: int = option(16, "Groups of a group normalisation; 16 in the paper.")
    reconstruction: str = option(
        "l1",
        "Reconstruction term, summed over pixels. laplace and gaussian: l1 and l2 as log "
        "densities, whose scale follows the error.",
        ("l1", "l2", "bce", "laplace", "gaussian"),
    )
    forget_bias: float = option(0.0, "vrnn: initial offset of the ConvLSTMs' forget gates.")
    initial_variance: float = option(
        math.log(2.0), "vrnn: variance of the latents before training; log 2 in the release."
    )
    decoder_skips: bool = option(
        False,
        "vrnn: whether the decoder sees the encoder's maps of the last frame at all resolutions. "
        "In the paper it sees only the map at 1x1.",
    )
    dense_decoder: bool = option(
        False,
        "vrnn: whether every resolution of the decoder sees the latents of all coarser levels. In "
        "the paper it sees only those of its own level.",
    )
    advection: int = option(
        0,
        "vrnn: side of the window of the last frame from which each pixel may be moved, 1, 3, 5, "
        "...; 0, as in the paper: every pixel is new.",
    )

    svg_encoder: str = option("dcgan", "svg: the frame encoder and decoder.", ("dcgan", "vgg"))
    svg_latents: int = option(10, "svg: channels of the latent.")
    svg_prior: str = option(
        "learned", "svg: prior of the latents; fixed: N(0, 1), SVG-FP.", ("learned", "fixed")
    )
    prednet_loss: str = option(
        "Lall",
        "prednet: L0, only the image's error; Lall, plus a tenth of every other layer's.",
        ("L0", "Lall"),
    )
    prednet_stacks: tuple[int, ...] = option(
        (48, 96, 192), "prednet: channels of the three layers above the image."
    )
    prednet_extrapolate: bool = option(
        False, "prednet: train the second phase, on its own predictions after the context."
    )
    prednet_feedback: str = option(
        "previous",
        "prednet: the prediction that replaces a frame after the context. previous: that of the "
        "step before, as in the official code; own: that of the same step.",
        ("previous", "own"),
    )

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "width", "context_frames", "groups", "svg_latents")
        require(
            self.max_channels == 0 or self.max_channels >= self.width,
            "`max_channels` must be 0, or at least `width`.",
            self.max_channels,
        )
        require(self.channels in (1, 3), "`channels` must be 1 or 3.", self.channels)
        halvings = self.image_size // SMALLEST_CONV_MAP
        require(
            halvings >= 1
            and self.image_size % SMALLEST_CONV_MAP == 0
            and halvings & (halvings - 1) == 0,
            "`image_size` must be 8 times a power of two (8, 16, 32, 64, 128, ...).",
            self.image_size,
        )
        self._check_latent_resolutions()
        self._check_latent_channels()
        check_initial_variance(self.initial_variance)
        check_advection(self.advection, self.image_size)
        require(
            len(self.prednet_stacks) == 3 and min(self.prednet_stacks) >= 1,
            "`prednet_stacks` must be three numbers of channels.",
            self.prednet_stacks,
        )
        if self.family == "vrnn":
            self._check_groups()
        if self.family == "svg":
            require(self.image_size == 64, "`image_size` must be 64 for svg.", self.image_size)

    def _check_latent_resolutions(self):
        levels, allowed = self.latent_resolutions, sorted(self.encoder_channels)
        if levels is None:
            return
        require(
            len(levels) > 0 and set(levels) <= set(allowed),
            "`latent_resolutions` must be resolutions of the encoder "
            f"({', '.join(map(str, allowed))}).",
            levels,
        )
        require(
            list(levels) == sorted(set(levels)),
            "`latent_resolutions` must increase, coarsest first.",
            levels,
        )

    def _check_latent_channels(self):
        channels, levels = self.latent_channels, self.resolved_latent_resolutions
        if channels is None:
            return
        require(
            len(channels) == len(levels) and min(channels) >= 1,
            "`latent_channels` must be none, or one positive number per latent level "
            f"({', '.join(map(str, levels))}).",
            channels,
        )
        # Means and raw variances are normalised together.
        least = MINIMUM_GROUP // 2
        require(
            levels[0] != 1 or channels[0] >= least,
            f"`latent_channels` must be at least {least} at 1x1, as a normalisation over fewer "
            "values leaves only their signs.",
            channels,
        )

    def _check_groups(self):
        for channels in self.encoder_channels.values():
            groups = min(self.groups, channels)
            require(
                channels % groups == 0,
                f"`width` and `max_channels` must make channels that divide into {self.groups} "
                f"groups, but {channels} channels do not.",
                self._sizes(),
            )
        top = self.encoder_channels[1]
        require(
            top // min(self.groups, top) >= MINIMUM_GROUP,
            f"`groups` must leave at least {MINIMUM_GROUP} of the {top} channels at 1x1 to each "
            "group. Groups of two keep only signs, and groups of one keep nothing.",
            self._sizes(),
        )

    def _sizes(self) -> str:
        most = f", max_channels={self.max_channels}" if self.max_channels else ""
        return f"width={self.width}{most}, groups={self.groups}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a frame."""
        return (self.image_size, self.image_size, self.channels)

    @property
    def encoder_channels(self) -> dict[int, int]:
        """{resolution: channels}, finest first, doubling from `width` up to `max_channels`."""
        channels, resolution = {}, self.image_size
        most = self.max_channels or 8 * self.width
        while resolution >= SMALLEST_CONV_MAP:
            channels[resolution] = min(2 ** len(channels) * self.width, most)
            resolution //= 2
        channels[4] = channels[1] = channels[SMALLEST_CONV_MAP]
        return channels

    @property
    def resolved_latent_resolutions(self) -> tuple[int, ...]:
        """Resolutions of the latent levels: the given ones, or the paper's for this size.

        The paper's are 1, an eighth of the side (at least 8) and half the side: (1, 8, 32) at 64.
        """
        if self.latent_resolutions is not None:
            return self.latent_resolutions
        half = self.image_size // 2
        middle = min(max(self.image_size // 8, SMALLEST_CONV_MAP), half)
        return tuple(sorted({1, middle, half}))
