"""A run on disk: where its parts lie, its configuration, its model with the weights.

TensorFlow is imported where weights are read only, so that a program can refuse a wrong option
or folder at once.
"""

import datetime
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfvrnn import commands, config_flags, files
from tfvrnn.config import Config, UserError, expanded, require
from tfvrnn.prepared import require_prepared
from tfvrnn.program_config import PRETRAINED, PRETRAINED_FOLDER

# A run folder can be moved, so it does not say where it is.
NOT_WRITTEN = ("train.run_dir",)
# What a model is trained for, not what it is made of: a new run may start from other ones.
LOSS_OPTIONS = ("model.reconstruction", "model.prednet_loss", "model.prednet_extrapolate")


class RunFolder:
    """The parts of a run folder.

        config.flags, lock, checkpoints/, tensorboard/{train,validation}/, samples/, evaluation/

    A folder that `keep_weights` wrote has config.flags and weights.npz alone.

    Args:
        path: the folder; need not exist.
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
        # Of what `write_config` wrote, options that are missing would silently be the defaults.
        text = self.config_file.read_text("utf-8")
        first, *_, last = config_flags.to_flagfile(Config(), exclude=NOT_WRITTEN).splitlines()
        last = last.partition("=")[0]
        if not text.strip() or (text.startswith(first) and f"\n{last}=" not in text):
            raise UserError(f"{self.config_file} is cut off: its last option, {last}, is missing")
        return config_flags.replace(config, {"train.run_dir": str(self.path)})

    def write_config(self, config: Config) -> None:
        """Write the configuration, whole or not at all."""
        text = config_flags.to_flagfile(config, exclude=NOT_WRITTEN)
        files.write_whole(self.config_file, text)

    def locked(self):
        """Hold the run for one process; UserError names the one that has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        return files.locked(self.path / "lock", f"training in {self.path}")

    def check_writable(self) -> None:
        """Raise UserError where files cannot be written here; makes nothing that stays."""
        try:
            nearest = self.path
            while not nearest.exists():
                nearest = nearest.parent
            files.check_writable(nearest)
        except OSError as error:
            reason = error.strerror
            raise UserError(f"cannot write into run folder {self.path}: {reason}") from None


def resolve_run(arguments: list[str]) -> tuple[Config, bool]:
    """The configuration that the arguments of a training run mean.

    An existing run goes on with its own configuration, changed by what the arguments set.

    Returns:
        (configuration, whether the run exists already).

    Raises:
        UserError: an option that is not allowed, an unwritable run folder, or options that
            do not fit the run that is there, with both values.
    """
    changes = config_flags.parse_changes(arguments, Config)
    if changes.get("train.strategy") == "multi_worker" and not changes.get("train.run_dir"):
        raise UserError("--train.strategy=multi_worker needs one --train.run_dir that all see")
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = RunFolder(changes.get("train.run_dir") or f"runs/{now}")
    changes["train.run_dir"] = str(folder.path)
    folder.check_writable()
    resumes = folder.exists()
    base = Config()
    if resumes:
        base = folder.read_config()
        _check_same_model(folder, base, changes)
        _check_goes_on(folder, base, changes)
    config = config_flags.replace(base, changes)
    require_prepared(config.data, config.model)
    if config.train.init_from and not resumes:
        source = RunFolder(config.train.init_from)
        _check_same_model(source, source.read_config(), config_flags.values(config), LOSS_OPTIONS)
        if not checkpoint_paths(source.checkpoints) and not source.weights.is_file():
            raise UserError(f"no checkpoint in {source.checkpoints}")
    return config, resumes


def _check_same_model(folder: RunFolder, stored: Config, wanted: dict, free=()) -> None:
    """Raise UserError where {dotted name: value} wants another model, but for `free` options."""
    for name, theirs in config_flags.values(stored).items():
        if name in free:
            continue
        mine = wanted.get(name, theirs)
        if name == "model.latent_resolutions":
            theirs = stored.model.resolved_latent_resolutions
            default = config_flags.replace(stored, {name: None})
            mine = mine or default.model.resolved_latent_resolutions
        if name.startswith("model.") and mine != theirs:
            raise UserError(
                f"run folder {folder.path} holds another model: "
                f"--{name} is {theirs} there, {mine} here"
            )


def _check_goes_on(folder: RunFolder, stored: Config, changes: dict) -> None:
    """Raise UserError where the changes would not go on with what the run did."""
    begin = f"begin a new run with --train.init_from={commands.quoted(folder.path)}"
    optimizer = changes.get("train.optimizer", stored.train.optimizer)
    if optimizer != stored.train.optimizer:
        raise UserError(
            f"{folder.path} is trained with {stored.train.optimizer}, not with {optimizer}: {begin}"
        )
    source = changes.get("train.init_from", stored.train.init_from)
    if source != stored.train.init_from:
        raise UserError(
            f"--train.init_from is for new runs: {folder.path} began from "
            f"{stored.train.init_from or 'fresh weights'}, not from {source}"
        )
    if folder.weights.is_file():
        raise UserError(f"{folder.path} holds weights alone, training cannot go on there: {begin}")
    done = [_step_of(path) for path in checkpoint_paths(folder.checkpoints)[:1]]
    steps = changes.get("train.steps", stored.train.steps)
    if done and steps < done[0]:
        raise UserError(f"{folder.path} has done {done[0]} steps already; --train.steps is {steps}")


def load_run(run_dir: str | Path, precision: str = "float32"):
    """A trained run: (Config, model with its weights, step).

    Also of a folder that `keep_weights` wrote. The weights are the moving averages where the run
    keeps them. `precision` is the model's dtype policy; the weights are float32 under every one.

    Raises:
        UserError: no run there, no whole checkpoint in it, or one of another model.
    """
    from tfvrnn import backend

    backend.require_tensorflow()

    import tensorflow as tf

    from tfvrnn.models import build_model

    folder = RunFolder(run_dir)
    config = folder.read_config()
    model = build_model(config.model, precision)
    if folder.weights.is_file():
        return config, model, _read_weights(folder.weights, model)
    step = tf.Variable(0, dtype=tf.int64)

    def restore(prefix):
        saved = tf.train.Checkpoint(weights=flat_weights(model), step=step)
        saved.read(prefix).expect_partial().assert_existing_objects_matched()
        if holds(prefix, "averages"):
            saved = tf.train.Checkpoint(averages=averages_in(prefix, model, flat_weights(model)))
            saved.read(prefix).expect_partial().assert_existing_objects_matched()

    if restore_newest(folder.checkpoints, model, restore) is None:
        raise UserError(f"no whole checkpoint in {folder.checkpoints}")
    return config, model, int(step)


def averages_in(prefix: str, model, averages: list) -> list:
    """Select the averages, of one per weight, that a checkpoint holds.

    Version 0.1.0 kept none of weights that are not trained.
    """
    import tensorflow as tf

    names = [name for name, _ in tf.train.list_variables(prefix) if name.startswith("averages/")]
    if len(names) == len(averages):
        return averages
    return [average for average, w in zip(averages, model.weights) if w.trainable]


def load_pretrained(name: str):
    """A model that comes with the package, as `load_run`: (Config, model, step).

    Raises:
        UserError: there is none of that name.
    """
    require(name in PRETRAINED, f"`name` must be one of {', '.join(PRETRAINED)}.", repr(name))
    return load_run(PRETRAINED_FOLDER / name)


def copy_pretrained(name: str, folder: str | Path) -> None:
    """Copy a model that comes with the package to where results of it can be written.

    Raises:
        UserError: a folder that cannot be written, or that holds another run.
    """
    run, source = RunFolder(folder), RunFolder(PRETRAINED_FOLDER / name)
    if run.exists() and run.config_file.read_bytes() != source.config_file.read_bytes():
        raise UserError(f"{run.path} holds another run: move it away")
    contents = {run.path / file.name: file.read_bytes() for file in source.path.iterdir()}
    missing = [p for p, content in contents.items() if not p.is_file() or p.read_bytes() != content]
    if missing:
        run.check_writable()
        run.path.mkdir(parents=True, exist_ok=True)
    for path in missing:
        files.write_whole(path, contents[path])


def keep_weights(run_dir: str | Path, folder: str | Path) -> Path:
    """Write what sampling needs of a run, small enough to hand on; `load_run` reads it.

    The configuration, and the weights of `load_run` rounded to float16.

    Returns:
        The file of the weights.
    """
    config, model, step = load_run(run_dir)
    weights = {str(k): weight.astype(np.float16) for k, weight in enumerate(model.get_weights())}
    folder = RunFolder(folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write_config(config)
    files.write_arrays(folder.weights, {"step": np.int64(step), **weights}, compressed=True)
    return folder.weights


def _read_weights(path: Path, model) -> int:
    """Give a model the weights of a file; returns their step."""
    try:
        arrays = files.read_arrays(path)
        step = int(arrays.pop("step"))
        model.set_weights([arrays[str(k)].astype(np.float32) for k in range(len(arrays))])
        return step
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path} does not hold the weights of its model: {reason}") from None


def flat_weights(model) -> list:
    """The TensorFlow variables of all weights, as checkpoints hold them.

    Not the model itself: TensorFlow's checkpoints do not see layers that lie in Python lists.
    """
    return [weight.value for weight in model.weights]


def _holds_weights_of(prefix: str, model) -> bool:
    """Whether a checkpoint holds as many weights as a model, of the same shapes."""
    import tensorflow as tf

    stored = {n: s for n, s in tf.train.list_variables(prefix) if n.startswith("weights/")}
    wanted = {
        f"weights/{number}/.ATTRIBUTES/VARIABLE_VALUE": list(weight.shape)
        for number, weight in enumerate(model.weights)
    }
    return stored == wanted


def checkpoint_paths(directory: Path) -> list[Path]:
    """The checkpoints in a folder, newest first, found by their files.

    Not by the list of them: that may be lost or cut off, like every file. One that
    lost its index or its data is listed too, to be told of.
    """
    names = {path.name.partition(".")[0] for path in directory.glob("ckpt-*.*")}
    paths = [directory / name for name in names if name.removeprefix("ckpt-").isdigit()]
    return sorted(paths, key=_step_of, reverse=True)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("ckpt-"))


def restore_newest(directory: Path, model, restore: Callable[[str], None]) -> Path | None:
    """Restore the newest whole checkpoint, and say on standard error which were not whole.

    Args:
        directory: of the checkpoints.
        model: whose weights they hold.
        restore: takes the prefix of a whole one, as TensorFlow names it.

    Returns:
        Its path, or None where there is none.

    Raises:
        UserError: it holds the weights of another model.
    """
    paths = checkpoint_paths(directory)
    if not paths:
        return None
    with files.for_tensorflow(directory) as folder:
        for path in paths:
            prefix = f"{folder}/{path.name}"
            if fault := _fault(prefix):
                fault = fault.replace(folder, str(directory))
                print(f"checkpoint {path} is not whole ({fault}): skipped", file=sys.stderr)
                continue
            if not _holds_weights_of(prefix, model):
                raise UserError(f"checkpoint {path} holds the weights of another model")
            restore(prefix)
            return path
    return None


def holds(prefix: str, part: str) -> bool:
    """Whether a checkpoint holds a part, as 'averages'."""
    import tensorflow as tf

    return any(name.startswith(f"{part}/") for name, _ in tf.train.list_variables(prefix))


def _fault(prefix: str) -> str | None:
    """What is wrong with the files of a checkpoint; every tensor is read against its checksum."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    # The reader's own errors come as all of these.
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        return str(error).splitlines()[0][:200]
    return None
