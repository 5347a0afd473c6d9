"""Continue your own video, and show its possible futures side by side.

    tfvrnn predict --pretrained=smmnist --video=in.gif
    tfvrnn predict --run_dir=RUN --video=in.mp4 [--out=futures.mp4 --samples=4]
    tfvrnn predict --export=EXPORT_BASE --video=in.gif
    tfvrnn predict --server=localhost:8500 --video=folder_of_images

Given frames have a green border, predicted frames a red one.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfvrnn import backend, config_flags, media
from tfvrnn.cli import runtime
from tfvrnn.cli.options import VIDEO_ENDINGS, OfOneModel, check_seeds, pretrained_option
from tfvrnn.config import (
    TEMPERATURE,
    UserError,
    check_fields,
    expanded,
    option,
    require,
    require_at_least,
)
from tfvrnn.runs import RunFolder
from tfvrnn.serving.versions import existing_versions

if TYPE_CHECKING:
    from tfvrnn.serving.samplers import Sampler


@dataclass(frozen=True)
class Options(OfOneModel):
    """Options of `tfvrnn predict`."""

    run_dir: str = option(
        "", "Run folder of the model, unless --pretrained, --export or --server is given."
    )
    pretrained: str = pretrained_option()
    export: str = option("", "Base folder of an export.")
    server: str = option("", "HOST:PORT of a gRPC server.")
    name: str = option("tfvrnn", "Name of the served model.")
    video: str = option(
        "", "Required. Video file (mp4, gif, webm, ...) or folder of images to continue."
    )
    out: str = option("prediction.gif", "Video to write: .gif, .mp4 or .webm.")
    horizon: int | None = option(None, "Frames to predict; none: as in training or export.")
    samples: int = option(4, "Futures to draw, side by side.")
    seed: int = option(0, "Seed of the first future. Each further future takes the next number.")
    temperature: float = option(1.0, f"{TEMPERATURE} Exports and servers have their own.")
    start: int | None = option(
        None,
        "Number of the context's first frame, from 0; none: the context is the end of the video.",
    )
    stride: int = option(1, "Temporal stride of the context: take every n-th frame.")
    scale: int = option(4, "Enlargement factor of the written video.")
    frame_rate: float = option(8.0, "Frames per second of the written video.")
    timeout: float = option(
        300.0, "Seconds to wait for a server that is still starting, and for each answer."
    )

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "horizon", "samples", "stride", "scale")
        require_at_least(self, 0, "seed", "start", "temperature")
        sources = ("run_dir", "pretrained", "export", "server")
        given = [name for name in sources if getattr(self, name)]
        require(
            len(given) == 1,
            "exactly one of `run_dir`, `pretrained`, `export` and `server` must be given.",
            ", ".join(given) or "none",
        )
        require(
            bool(self.run_dir or self.pretrained) or self.temperature == 1.0,
            "`temperature` is for runs and pretrained models; an export has its own.",
            self.temperature,
        )
        require(self.video != "", "`video` must name a video or a folder.", repr(self.video))
        require(
            Path(self.out).suffix in VIDEO_ENDINGS,
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
    """Raise UserError unless an option is HOST:PORT, with an IPv6 address in brackets."""
    host, colon, port = address.rpartition(":")
    rule = f"`{name}` must be HOST:PORT of gRPC, without a scheme: localhost:8500 or [::1]:8500."
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


def main(arguments: list[str]) -> None:
    wanted = Options(**config_flags.parse_changes(arguments, Options))
    out = runtime.output(wanted.out)
    if wanted.run_dir:
        RunFolder(wanted.run_dir).read_config()  # fails at once if there is no run
    try:
        next(media.frames_of(wanted.video))
        if wanted.export:
            existing_versions(expanded(wanted.export))  # fails at once if there is no export
        predict(wanted, out)
    except media.VideoError as error:
        raise UserError(str(error)) from None


def predict(wanted: Options, out: Path) -> None:
    # TensorFlow takes seconds to import, so all options are checked first.
    import numpy as np

    backend.divide_cores()
    sampler = open_sampler(wanted)
    frames, *shape = sampler.context_shape
    context = media.read_clip(wanted.video, frames, wanted.start, wanted.stride)
    context = media.fit(context, shape)
    seeds = np.arange(wanted.seed, wanted.seed + wanted.samples, dtype=np.int32)
    blank = np.zeros((len(seeds), 1, *context.shape[1:]), np.uint8)
    sides = media.side_by_side(context[:1], blank, wanted.scale).shape[1:3]
    media.check_size(out, *sides)
    if not (wanted.export or wanted.server):
        runtime.announce_futures(len(seeds), sampler.horizon)
    futures = sampler.sample(np.repeat(context[None], len(seeds), axis=0), seeds)
    picture = media.side_by_side(context, futures, wanted.scale)
    media.write_video(out, picture, wanted.frame_rate)
    print(f"{out}: {frames} frames given, {sampler.horizon} predicted, {len(seeds)} futures")


def open_sampler(wanted: Options) -> "Sampler":
    """Open the run, export or server that the options name."""
    from tfvrnn.serving import samplers

    if wanted.server:
        sampler = samplers.of_server(wanted.server, wanted.name, wanted.timeout)
    elif wanted.export:
        sampler = samplers.of_export(wanted.export)
    else:
        return samplers.of_run(wanted.model_dir, wanted.horizon, wanted.temperature)
    sampler.check_horizon(wanted.horizon)
    return sampler
