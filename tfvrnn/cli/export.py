"""Export a run's sampler as a SavedModel for TensorFlow Serving.

    tfvrnn export --pretrained=smmnist --out=EXPORT_BASE
    tfvrnn export --run_dir=RUN --out=EXPORT_BASE [--horizon=28 --samples=4]

Every export into EXPORT_BASE is a new version.
"""

from dataclasses import dataclass

from tfvrnn import commands, config_flags
from tfvrnn.cli.options import OfOneModel, pretrained_option, run_dir_option
from tfvrnn.config import (
    EXPORT_MAX_BATCH,
    EXPORT_SAMPLES,
    TEMPERATURE,
    check_fields,
    check_name,
    option,
    require,
    require_at_least,
)
from tfvrnn.runs import RunFolder


@dataclass(frozen=True)
class Options(OfOneModel):
    """Options of `tfvrnn export`."""

    run_dir: str = run_dir_option()
    pretrained: str = pretrained_option()
    out: str = option(
        "", "Required. Base folder of the export; versions are numbered folders in it."
    )
    horizon: int | None = option(None, "Frames that a request predicts; none: as in training.")
    samples: int = option(EXPORT_SAMPLES, "Futures per context that the signature `samples` draws.")
    version: int | None = option(None, "Version number; none: the next free one.")
    temperature: float = option(1.0, TEMPERATURE)
    precision: str = option(
        "float32", "Dtype policy of the exported model.", ("float32", "mixed_bfloat16")
    )
    max_batch: int = option(
        EXPORT_MAX_BATCH, "Largest batch size. The sizes 1, 2, 4, ... up to it are warmed up."
    )
    name: str = option("tfvrnn", "Name of the served model.")

    def __post_init__(self):
        check_fields(self)
        require_at_least(self, 1, "horizon", "samples", "version", "max_batch")
        require_at_least(self, 0, "temperature")
        require((self.version or 0) < 2**63, "`version` must be below 2**63.", self.version)
        self.check_model()
        require(self.out != "", "`out` must name a folder.", repr(self.out))
        require(self.max_batch <= 1024, "`max_batch` must be at most 1024.", self.max_batch)
        check_name(self.name)


def main(arguments: list[str]) -> None:
    wanted = Options(**config_flags.parse_changes(arguments, Options))
    RunFolder(wanted.model_dir).read_config()  # fails at once if there is no run

    # TensorFlow takes seconds to import, so all options are checked first.
    from tfvrnn.serving import export_sampler

    options = {k: v for k, v in vars(wanted).items() if k not in ("run_dir", "pretrained")}
    version = export_sampler(wanted.model_dir, **options)
    predict = {"export": wanted.out, "video": "VIDEO", "out": "prediction.gif"}
    print(f"exported: {version}\nnext:")
    print(f"  {commands.program('serve', export=wanted.out)}")
    print(f"  {commands.program('predict', **predict)}")
