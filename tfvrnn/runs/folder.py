"""Paths within a run folder, and the run's configuration."""

import re
from contextlib import AbstractContextManager
from pathlib import Path

from tfvrnn import config_flags, files
from tfvrnn.config import Config, UserError, expanded

# A run folder can be moved, so its configuration does not name it.
NOT_WRITTEN = ("train.run_dir",)


class RunFolder:
    """The parts of a run folder.

        config.flags, lock, checkpoints/, tensorboard/{train,validation}/, samples/, evaluation/

    A folder that `keep_weights` wrote has config.flags, config.json, weights.npz and README.md.

    Args:
        path: the folder; it need not exist.
    """

    def __init__(self, path: str | Path):
        self.path = expanded(path)
        self.config_file = self.path / "config.flags"
        self.checkpoints = self.path / "checkpoints"
        self.weights = self.path / "weights.npz"
        self.tensorboard = self.path / "tensorboard"
        self.samples = self.path / "samples"
        self.evaluation = self.path / "evaluation"

    def exists(self) -> bool:
        """Return whether a run was started here."""
        return self.config_file.is_file()

    def read_config(self) -> Config:
        """Read the configuration of the run, with `train.run_dir` set.

        Raises:
            UserError: no run here, or its configuration cannot be read.
        """
        if not self.exists():
            preset = (self.path / "config.json").is_file()
            hint = "; it holds a preset, for VideoPredictor.from_preset" if preset else ""
            raise UserError(f"no run in {self.path}: it has no {self.config_file.name}{hint}")
        try:
            config = config_flags.from_flagfile(self.config_file, Config())
        except config_flags.FlagError as error:
            raise UserError(str(error)) from None
        # An option missing from a file of `write_config` would silently take its default.
        text = self.config_file.read_text("utf-8")
        first, *_, last = config_flags.to_flagfile(Config(), exclude=NOT_WRITTEN).splitlines()
        last = last.partition("=")[0]
        if not text.strip() or (text.startswith(first) and f"\n{last}=" not in text):
            raise UserError(f"{self.config_file} is cut off: its last option, {last}, is missing")
        return config_flags.replace(config, {"train.run_dir": str(self.path)})

    def write_config(self, config: Config) -> None:
        """Write the configuration atomically."""
        text = config_flags.to_flagfile(config, exclude=NOT_WRITTEN)
        files.write_whole(self.config_file, text)

    def locked(self) -> AbstractContextManager[None]:
        """Lock the run for this process; a UserError names the process that holds it."""
        self.path.mkdir(parents=True, exist_ok=True)
        return files.locked(self.path / "lock", f"training in {self.path}")

    def check_writable(self) -> None:
        """Raise UserError if files cannot be written here; leave nothing behind."""
        try:
            nearest = self.path
            while not nearest.exists():
                nearest = nearest.parent
            files.check_writable(nearest)
        except OSError as error:
            reason = error.strerror
            raise UserError(f"cannot write into run folder {self.path}: {reason}") from None


def checkpoint_paths(directory: Path) -> list[Path]:
    """List the checkpoints in a folder by their files, newest first.

    TensorFlow's own list of them may be lost or cut off. Incomplete checkpoints are listed so that
    they can be reported.
    """
    names = {path.name.partition(".")[0] for path in directory.glob("ckpt-*.*")}
    paths = [directory / name for name in names if re.fullmatch("ckpt-[0-9]+", name)]
    return sorted(paths, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """Read from a checkpoint's name the step after which it was saved."""
    return int(checkpoint.name.removeprefix("ckpt-"))
