"""Compare two sets of videos of any origin by FVD, KVD and, with --paired, SSIM, PSNR, LPIPS.

    tfvrnn measure --real=A --generated=B --frames=16 --size=64
    tfvrnn measure --real=A --generated=B --paired
    tfvrnn measure --real=real.npy --generated=generated.npz --generated_key=videos
    tfvrnn measure --real=A --generated=B --protocol=measured/measurement.json

Each side is a folder of videos (files, or folders of images), one video, or a uint8 array
[N, T, H, W, C]. An interrupted measurement continues where it stopped.
"""

from dataclasses import dataclass
from pathlib import Path

from tfvrnn import backend, config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import MeasureConfig, UserError, expanded, option, require

# Options that a protocol does not hold, so that they may be given with --protocol.
PLACES = ("real", "generated", "real_key", "generated_key", "out", "protocol", "save_statistics")


@dataclass(frozen=True)
class Sides:
    """Paths among the options of `tfvrnn measure`."""

    real: str = option(
        "", "Required. Folder of videos, video, .npy, .npz, or file of --save_statistics."
    )
    generated: str = option("", "Required. Folder of videos, video, .npy or .npz.")
    real_key: str = option("", "Name of the array in the .npz of --real, if it has several.")
    generated_key: str = option(
        "", "Name of the array in the .npz of --generated, if it has several."
    )
    out: str = option("measured", "Folder for the figures, the report and partial results.")
    protocol: str = option("", "JSON of an earlier measurement, to repeat with the same choices.")
    save_statistics: str = option(
        "", "File (.npz) for the features of the real side. A later --real can read it."
    )


@dataclass(frozen=True)
class Options(MeasureConfig, Sides):
    """Options of `tfvrnn measure`: which videos, and how they are measured."""

    def __post_init__(self):
        super().__post_init__()
        require(self.real != "", "`real` must name a folder or a file.", repr(self.real))
        rule = "`generated` must name a folder or a file."
        require(self.generated != "", rule, repr(self.generated))
        rule = "`save_statistics` must end in .npz."
        ending = self.save_statistics.endswith(".npz")
        require(ending or not self.save_statistics, rule, repr(self.save_statistics))

    def settings(self) -> MeasureConfig:
        """Return the choices of a measurement, without the paths."""
        own = config_flags.values(MeasureConfig())
        return MeasureConfig(**{name: getattr(self, name) for name in own})


def main(arguments: list[str]) -> None:
    given = config_flags.parse_changes(arguments, Options)
    wanted = config_flags.build(Options, given)
    others = set(given) - {*PLACES, "cache_dir"}
    if wanted.protocol and others:
        flags = ", ".join(f"--{name}" for name in sorted(others))
        raise UserError(f"a protocol has its own choices; --protocol excludes {flags}")
    for name in ("real", "generated", "protocol"):
        path = getattr(wanted, name)
        require(not path or expanded(path).exists(), f"--{name} must exist.", path)
    if wanted.save_statistics:
        runtime.output(wanted.save_statistics)
    with runtime.resumable():
        measure(wanted)


def measure(wanted: Options) -> None:
    # TensorFlow takes seconds to import, so all options are checked first.
    from tfvrnn.measurement import measure_videos, table, write_report

    backend.divide_cores()
    result = measure_videos(
        wanted.real,
        wanted.generated,
        wanted.settings(),
        wanted.out,
        real_key=wanted.real_key,
        generated_key=wanted.generated_key,
        save_statistics=wanted.save_statistics or None,
        protocol_file=wanted.protocol or None,
    )
    report = Path(result.path).with_suffix(".html")
    write_report(result, report)
    print(table(result))
    for written in filter(None, (result.path, report, wanted.save_statistics)):
        print(written)
