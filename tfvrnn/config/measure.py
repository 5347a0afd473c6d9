"""The options of a measurement of two sets of videos."""

from dataclasses import dataclass

from tfvrnn.config.options import check_fields, option, require, require_at_least

ASIDE = ("cache_dir",)  # options that no figure depends on


@dataclass(frozen=True)
class MeasureConfig:
    """Which clips are taken of two sets of videos, and what is measured of them."""

    paired: bool = option(
        False,
        "Also compare videos of equal names frame by frame: NAME, and of the generated videos also "
        "NAME_0, NAME_1, ... or all in a folder NAME/, the samples of one video.",
    )
    frames: int = option(0, "Frames of a clip; 0: whole videos, which must be of one length.")
    clips: str = option(
        "first",
        "Which frames of a longer video: the first, those in the centre, those from a random "
        "start, or all clips without overlap.",
        ("first", "centre", "random", "all"),
    )
    start: int = option(0, "Frames at the beginning of every video that are passed over.")
    generated_start: int | None = option(
        None, "The same of the generated videos, where it differs; none: as start."
    )
    stride: int = option(1, "Frames of a video from one frame of a clip to the next.")
    size: int = option(0, "Side of the square frames; 0: as they are, all must be of one size.")
    fit: str = option(
        "crop",
        "How a picture that is not square becomes one: its centre is cut out, or it is stretched.",
        ("crop", "stretch"),
    )
    filter: str = option(
        "area",
        "How pictures are resized, by Pillow; none: they are not, and `size` is only cut out.",
        ("area", "bilinear", "bicubic", "lanczos", "none"),
    )
    color: str = option(
        "same",
        "Grey and colour. same: both sides must be grey, or both in colour; rgb: as they are, grey "
        "repeated to three channels; grey: all turned to grey.",
        ("same", "rgb", "grey"),
    )
    videos: int = option(
        0, "Videos of each side, drawn by seed and name if there are more; 0: all."
    )
    seed: int = option(0, "Seed of all that is drawn: videos, starts, subsets, resamples.")
    ssim: str = option(
        "gaussian",
        "Definition of SSIM: of Wang et al., or skimage's uniform window, as SVG reports.",
        ("gaussian", "uniform"),
    )
    lpips: str = option("alex", "Trunk of LPIPS; none: not measured.", ("alex", "vgg", "none"))
    fvd_network: str = option("i3d", "Features of FVD: i3d, the folder of a SavedModel, or none.")
    subsets: int = option(10, "Random halves that the deviations of FVD and KVD are taken over.")
    examples: int = option(4, "Clips that the report shows.")
    cache_dir: str = option("", "Where weights are kept. Default: the user's cache.")

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 0, "frames", "start", "generated_start", "size", "videos", "seed")
        require_at_least(self, 0, "examples")
        require_at_least(self, 1, "stride")
        require_at_least(self, 2, "subsets")
        require(self.fvd_network != "", "`fvd_network` must be i3d, a folder or none.", "''")
        rule = "`frames` must be given, unless `clips` is first: 0 takes whole videos."
        require(self.frames > 0 or self.clips == "first", rule, f"clips={self.clips}")
        rule = "with `paired`, `clips` must be first or centre: the frames of a pair must agree."
        require(not self.paired or self.clips in ("first", "centre"), rule, self.clips)
        rule = "without `paired`, FVD is all there is: `fvd_network` must not be none."
        require(self.paired or self.fvd_network != "none", rule, self.fvd_network)
        require(self.videos != 1, "`videos` must be 0, or at least 2.", 1)

    def start_of(self, side: str) -> int:
        """Frames passed over of a side, 'real' or 'generated'."""
        if side == "generated" and self.generated_start is not None:
            return self.generated_start
        return self.start
