"""Measure two folders of videos of any origin: FVD, KVD, and with --paired SSIM, PSNR, LPIPS.

    tfvrnn measure --real=A --generated=B --frames=16 --size=64
    tfvrnn measure --real=A --generated=B --paired
    tfvrnn measure --real=real.npy --generated=generated.npz --generated_key=videos
    tfvrnn measure --real=A --generated=B --protocol=measured/measurement.json

A side is a folder of videos (files, or folders of images), one video, or an array of uint8
[N, T, H, W, C]. An interrupted measurement continues where it stopped.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from tfvrnn import backend, config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import MeasureConfig, UserError, expanded, option, require

# Options that a protocol does not have, and so may stand beside one.
PLACES = ("real", "generated", "real_key", "generated_key", "out", "protocol", "save_statistics")


@dataclass(frozen=True)
class Sides:
    """Options of `tfvrnn measure`."""

    real: str = option("", "Folder of videos, video, .npy, .npz, or file of --save_statistics.")
    generated: str = option("", "Folder of videos, video, .npy or .npz.")
    real_key: str = option("", "Name of the array in the .npz of --real, where it has several.")
    generated_key: str = option("", "The same of --generated.")
    out: str = option("measured", "Folder for figures, report, and parts of what was computed.")
    protocol: str = option("", "JSON of an earlier measurement, whose choices to repeat.")
    save_statistics: str = option(
        "", "File (.npz) to write the features of the real side into, to be a later --real."
    )


@dataclass(frozen=True)
class Options(MeasureConfig, Sides):
    """Which videos, and how they are measured."""

    def __post_init__(self):
        super().__post_init__()
        require(self.real != "", "`real` must name a folder or a file.", repr(self.real))
        rule = "`generated` must name a folder or a file."
        require(self.generated != "", rule, repr(self.generated))
        rule = "`save_statistics` must end in .npz."
        ending = self.save_statistics.endswith(".npz")
        require(ending or not self.save_statistics, rule, repr(self.save_statistics))

    def settings(self) -> MeasureConfig:
        """The choices, without the places."""
        own = config_flags.values(MeasureConfig())
        return MeasureConfig(**{name: getattr(self, name) for name in own})


def main(arguments: list[str]) -> None:
    given = config_flags.parse_changes(arguments, Options)
    wanted = config_flags.build(Options, given)
    others = set(given) - {*PLACES, "cache_dir"}
    if wanted.protocol and others:
        flags = ", ".join(f"--{name}" for name in sorted(others))
        raise UserError(f"a protocol has its own choices; beside it there is no {flags}")
    for name in ("real", "generated", "protocol"):
        path = getattr(wanted, name)
        require(not path or expanded(path).exists(), f"--{name}: there is nothing.", path)
    if wanted.save_statistics:
        runtime.output(wanted.save_statistics)
    try:
        measure(wanted)
    except KeyboardInterrupt:
        sys.exit("stopped: the same command continues")


def measure(wanted: Options) -> None:
    # TensorFlow takes seconds to import: only after every option was found in order.
    import tensorflow as tf

    from tfvrnn.measurement import measure_videos, table, write_report

    tf.get_logger().setLevel("ERROR")  # TF-GAN's deprecations are not the user's
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
    print(result.path)
    print(report)
