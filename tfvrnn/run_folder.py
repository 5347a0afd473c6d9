"""A run on disk: where its parts lie, its configuration, its model with the weights.

TensorFlow is imported where weights are read only, so that a program can refuse a wrong option
or folder at once.
"""

import datetime
import os
import sys
import tempfile
from pathlib import Path

from tfvrnn import config_flags
from tfvrnn.config import READABLE_DATASETS, Config, UserError

# A run folder can be moved; so where it is, or came from, is not written into it.
NOT_WRITTEN = ("train.run_dir",)


class RunFolder:
    """The parts of a run folder.

        config.flags, checkpoints/, tensorboard/{train,validation}/, samples/, evaluation/

    Args:
        path: the folder; need not exist.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self.config_file = self.path / "config.flags"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config_file.is_file()

    def read_config(self) -> Config:
        """The configuration of the run, with `train.run_dir` set.

        Raises:
            UserError: no run here, or its configuration cannot be read.
        """
        if not self.exists():
            raise UserError(f"no run in {self.path}: it has no {self.config_file.name}")
        config = config_flags.from_flagfile(self.config_file, Config())
        return config_flags.replace(config, {"train.run_dir": str(self.path)})

    def write_config(self, config: Config) -> None:
        """Write the configuration, whole or not at all."""
        text = config_flags.to_flagfile(config, exclude=NOT_WRITTEN)
        temporary = self.config_file.with_suffix(".partial")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.config_file)

    def check_writable(self) -> None:
        """Raise UserError where files cannot be written here; makes nothing that stays."""
        nearest = self.path
        while not nearest.exists():
            nearest = nearest.parent
        try:
            if not nearest.is_dir():
                raise NotADirectoryError(0, "not a folder")
            if not os.access(nearest, os.W_OK | os.X_OK):
                raise PermissionError(0, "no permission to write")
            with tempfile.TemporaryFile(dir=nearest):
                pass
        except OSError as error:
            reason = error.strerror
            raise UserError(f"cannot write into run folder {self.path}: {reason}") from None


def resolve_run(arguments: list[str]) -> tuple[Config, bool]:
    """The configuration that the arguments of a training run mean.

    An existing run goes on with its own configuration, changed by what the arguments set.

    Returns:
        (configuration, whether it resumes a run).

    Raises:
        UserError: an option that is not allowed, an unwritable run folder, or options that
            would change the model of the run, with both values.
    """
    changes = config_flags.parse_changes(arguments, Config())
    config = config_flags.replace(Config(), changes)
    if config.data.dataset not in READABLE_DATASETS:
        raise UserError(
            f"dataset {config.data.dataset} cannot be read by this version; "
            f"there are: {', '.join(READABLE_DATASETS)}"
        )
    if not config.train.run_dir:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        run_dir = f"runs/{config.data.dataset}-{now}"
        config = config_flags.replace(config, {"train.run_dir": run_dir})
    folder = RunFolder(config.train.run_dir)
    folder.check_writable()
    if not folder.exists():
        if config.train.init_from:
            _check_same_model(RunFolder(config.train.init_from), config.model)
        return config, False
    stored = folder.read_config()
    config = config_flags.replace(stored, changes)
    _check_same_model(folder, config.model)
    return config, True


def _check_same_model(folder: RunFolder, model) -> None:
    stored = folder.read_config().model
    mine, theirs = config_flags.values(model), config_flags.values(stored)
    for name, value in mine.items():
        if value != theirs[name]:
            raise UserError(
                f"run folder {folder.path} holds another model: "
                f"--model.{name} is {theirs[name]} there, {value} here"
            )


def load_run(run_dir: str | Path):
    """A trained run: (Config, model with its weights, step).

    The weights are the moving averages where the run keeps them.

    Raises:
        UserError: no run there, or no whole checkpoint in it.
    """
    import tensorflow as tf

    from tfvrnn.models import build_model

    folder = RunFolder(run_dir)
    config = folder.read_config()
    model = build_model(config.model)
    step = tf.Variable(0, dtype=tf.int64)
    weights = tf.train.Checkpoint(model=model, step=step)
    path = restore_newest(folder.checkpoints, weights)
    if path is None:
        raise UserError(f"no whole checkpoint in {folder.checkpoints}")
    if config.train.average_decay:
        averages = [weight.value for weight in model.trainable_variables]
        tf.train.Checkpoint(averages=averages).read(str(path)).expect_partial()
    return config, model, int(step)


def checkpoint_paths(directory: Path) -> list[Path]:
    """The checkpoints in a folder, newest first, found by their files.

    Not by the manager's list of them: that may be lost or cut off, like every file.
    """
    steps = {}
    for index in directory.glob("ckpt-*.index"):
        number = index.stem.removeprefix("ckpt-")
        if number.isdigit():
            steps[int(number)] = index.with_suffix("")
    return [steps[step] for step in sorted(steps, reverse=True)]


def restore_newest(directory: Path, checkpoint) -> Path | None:
    """Restore the newest whole checkpoint, and say on standard error which were not whole.

    Returns:
        Its path, or None where there is none.
    """
    for path in checkpoint_paths(directory):
        fault = _fault(path)
        if fault is None:
            checkpoint.read(str(path)).expect_partial()
            return path
        print(f"checkpoint {path} is not whole ({fault}): skipped", file=sys.stderr)
    return None


def _fault(path: Path) -> str | None:
    """What is wrong with the files of a checkpoint; every tensor is read against its checksum."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    # The reader's own errors come as all of these.
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        return str(error).splitlines()[0][:200]
    return None
