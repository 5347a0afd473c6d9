"""Options that several programs share, and their checks."""

from pathlib import Path

from tfvrnn import presets
from tfvrnn.config import option, require

VIDEO_ENDINGS = (".gif", ".mp4", ".webm")


def run_dir_option() -> str:
    """Declare the option `run_dir`."""
    return option("", "Run folder of the model.")


def pretrained_option() -> str:
    """Declare the option `pretrained`, which replaces `run_dir`."""
    choices = ("", *presets.NAMES)
    return option("", "Model that comes with the package, instead of a run.", choices)


class OfOneModel:
    """Mixin for the options of a program that takes `run_dir` or `pretrained`."""

    run_dir: str
    pretrained: str

    @property
    def model_dir(self) -> Path:
        """The folder of the model."""
        return Path(self.run_dir) if self.run_dir else presets.FOLDER / self.pretrained

    def check_model(self) -> None:
        """Raise UserError unless exactly one of `run_dir` and `pretrained` was given."""
        both = f"{self.run_dir!r} and {self.pretrained!r}"
        rule = "only one of `run_dir` and `pretrained` may be given."
        require(not (self.run_dir and self.pretrained), rule, both)
        rule = "`run_dir` must name a run folder, or `pretrained` a model of the package."
        require(bool(self.run_dir or self.pretrained), rule, repr(self.run_dir))


def check_seeds(first: int, count: int) -> None:
    """Raise UserError unless all seeds fit into int32, the dtype that served samplers take."""
    require(
        first + count <= 2**31, "`seed` and the seeds that follow it must be below 2**31.", first
    )
