"""The options of a measurement of two sets of videos."""

from dataclasses import dataclass

from tfvrnn.config.options import check_fields, option, require, require_at_least

ASIDE = ("cache_dir",)  # options that no figure depends on


@dataclass(frozen=True)
class MeasureConfig:
    """Options that choose clips of two sets of videos, and measures to compare them by."""

    paired: bool = option(
        False,
        "Also compare videos of equal names frame by frame. Generated videos NAME_0, NAME_1, ... "
        "or in a folder NAME/ are samples of the real video NAME.",
    )
    frames: int = option(0, "Frames per clip; 0: whole videos, which must all have one length.")
    clips: str = option(
        "first",
        "Clips to take from a longer video: the first one, the central one, one from a random "
        "start, or all without overlap.",
        ("first", "centre", "random", "all"),
    )
    start: int = option(0, "Frames to skip at the beginning of every video.")
    generated_start: int | None = option(
        None, "Frames to skip in generated videos; none: as many as `start`."
    )
    stride: int = option(1, "Temporal stride: use every n-th frame.")
    size: int = option(
        0, "Side of the square frames in pixels; 0: keep the size, which must be the same for all."
    )
    fit: str = option(
        "crop",
        "How to make a frame square: crop its centre, or stretch it.",
        ("crop", "stretch"),
    )
    filter: str = option(
        "area",
        "Pillow's filter for resizing frames; none: never resize, only crop to `size`.",
        ("area", "bilinear", "bicubic", "lanczos", "none"),
    )
    color: str = option(
        "same",
        "Grey and colour. same: both sides must be grey, or both in colour; rgb: keep colours, and "
        "repeat grey to three channels; grey: turn all frames to grey.",
        ("same", "rgb", "grey"),
    )
    videos: int = option(0, "Videos per side, drawn by seed and name if there are more; 0: all.")
    seed: int = option(0, "Seed of all random draws: videos, starts, subsets, resamples.")
    ssim: str = option(
        "gaussian",
        "Definition of SSIM: of Wang et al., or skimage's uniform window, as SVG reports.",
        ("gaussian", "uniform"),
    )
    lpips: str = option("alex", "Trunk of LPIPS; none disables it.", ("alex", "vgg", "none"))
    fvd_network: str = option("i3d", "Network of FVD: i3d, the folder of a SavedModel, or none.")
    subsets: int = option(10, "Number of random halves for the deviations of FVD and KVD.")
    examples: int = option(4, "Clips that the report shows.")
    cache_dir: str = option("", "Folder that keeps weights. Default: the user's cache.")

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 0, "frames", "start", "generated_start", "size", "videos", "seed")
        require_at_least(self, 0, "examples")
        require_at_least(self, 1, "stride")
        require_at_least(self, 2, "subsets")
        require(self.fvd_network != "", "`fvd_network` must be i3d, a folder or none.", "''")
        rule = "`frames` must be above 0 unless `clips` is first: 0 takes whole videos."
        require(self.frames > 0 or self.clips == "first", rule, f"clips={self.clips}")
        rule = "with `paired`, `clips` must be first or centre: the frames of a pair must agree."
        require(not self.paired or self.clips in ("first", "centre"), rule, self.clips)
        rule = "without `paired`, only FVD and KVD are measured: `fvd_network` must not be none."
        require(self.paired or self.fvd_network != "none", rule, self.fvd_network)
        require(self.videos != 1, "`videos` must be 0, or at least 2.", 1)

    def start_of(self, side: str) -> int:
        """Return the number of frames to skip on a side, 'real' or 'generated'."""
        if side == "generated" and self.generated_start is not None:
            return self.generated_start
        return self.start
