"""Checkpoints: saving and restoring everything that training depends on."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import keras
import tensorflow as tf

from tfvrnn import files
from tfvrnn.config import UserError
from tfvrnn.runs.folder import RunFolder, checkpoint_paths


class Averages(Protocol):
    """Moving averages of weights: `training.optimizer.MovingAverages`."""

    averages: list[tf.Variable]

    def restart(self, kept: Sequence[tf.Variable] = ()) -> None:
        """Set the averages, except those in `kept`, to the current weights."""


class Checkpoints:
    """The checkpoints of a training run: `ckpt-<step>` in the run's `checkpoints/`.

    A checkpoint holds the weights, the optimizer's slots and loss scale, the moving averages, the
    step, and the number of training videos consumed. Noise and data are functions of these. The
    file `checkpoint` lists the checkpoints for TensorFlow's own tools. No clock time is written,
    so that equal runs write equal files.

    Args:
        folder: the run.
        model, optimizer: built.
        averages: `MovingAverages` of the weights, or None.
        keep: number of newest checkpoints to keep.
        batch_size: videos that a step consumes.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        averages: Averages | None = None,
        keep: int = 3,
        batch_size: int = 1,
    ):
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._videos = tf.Variable(0, dtype=tf.int64, trainable=False)
        # The loss scale is saved apart from the inner optimizer, so that a run can continue
        # under another precision.
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        self.model = model
        weights = flat_weights(model)
        self.parts = dict(weights=weights, optimizer=inner, step=self._step, videos=self._videos)
        self.optional = {}
        if optimizer is not inner:
            scale = [optimizer.dynamic_scale.value, optimizer.step_counter.value]
            self.optional["loss_scale"] = scale
        if averages:
            self.optional["averages"] = averages.averages
        self.averages = averages
        self.directory = folder.checkpoints
        self.list = self.directory / "checkpoint"
        self.keep = keep
        self.batch_size = batch_size
        self._whole: set[Path] = set()  # restored or saved by this process

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._step.numpy())

    @property
    def videos(self) -> int:
        """Training videos consumed."""
        return int(self._videos.numpy())

    @property
    def were_saved(self) -> bool:
        """Whether any checkpoint was ever saved completely: their list is written last."""
        return self.list.is_file()

    def advance(self) -> None:
        """Count one more step, and its videos."""
        self._step.assign_add(1)
        self._videos.assign_add(self.batch_size)

    def save(self) -> Path:
        """Save under the current step, and delete the oldest checkpoints beyond `keep`.

        Raises:
            UserError: the checkpoint cannot be written; earlier ones stay.
        """
        path = self.directory / f"ckpt-{self.step}"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with files.for_tensorflow(self.directory) as directory:
                checkpoint = tf.train.Checkpoint(**self.parts, **self.optional)
                checkpoint.write(f"{directory}/{path.name}")
            self._whole.add(path)
            self._forget_oldest()
        except (OSError, tf.errors.OpError) as error:
            reason = " ".join(str(getattr(error, "message", error)).split())[:200]
            raise UserError(
                f"the checkpoint of step {self.step} cannot be written: {reason}"
            ) from None
        return path

    def _forget_oldest(self):
        """List the newest `keep` and delete the others, possibly incomplete ones first."""
        paths = checkpoint_paths(self.directory)[::-1]
        paths.sort(key=lambda path: path in self._whole)
        kept = paths[-self.keep :]
        lines = [f'model_checkpoint_path: "{kept[-1].name}"']
        lines += [f'all_model_checkpoint_paths: "{path.name}"' for path in kept]
        files.write_whole(self.list, "\n".join(lines) + "\n")
        for path in paths[: -self.keep]:
            for part in self.directory.glob(f"{path.name}.*"):
                part.unlink()

    def restore(self) -> Path | None:
        """Restore the newest whole checkpoint and return its path, or None if there is none.

        Loss scale and averages start afresh if the run did not have them before.

        Raises:
            UserError: the checkpoint holds another model.
        """
        path = restore_newest(self.directory, self.model, self._restore)
        if path:
            self._whole.add(path)
        return path

    def _restore(self, prefix: str) -> None:
        optional = {n: part for n, part in self.optional.items() if holds(prefix, n)}
        if self.averages and "averages" in optional:
            optional["averages"] = averages_in(prefix, self.model, self.averages.averages)
        checkpoint = tf.train.Checkpoint(**self.parts, **optional)
        checkpoint.read(prefix).assert_existing_objects_matched().expect_partial()
        if self.averages:
            self.averages.restart(kept=optional.get("averages", ()))


def flat_weights(model: keras.Model) -> list[tf.Variable]:
    """List the TensorFlow variables of all weights, as checkpoints hold them.

    Checkpoints do not hold the model itself, because TensorFlow's do not see layers in Python
    lists.
    """
    return [weight.value for weight in model.weights]


def _holds_weights_of(prefix: str, model: keras.Model) -> bool:
    """Return whether a checkpoint's weights match a model's in number and shapes."""
    stored = {n: s for n, s in tf.train.list_variables(prefix) if n.startswith("weights/")}
    wanted = {
        f"weights/{number}/.ATTRIBUTES/VARIABLE_VALUE": list(weight.shape)
        for number, weight in enumerate(model.weights)
    }
    return stored == wanted


def averages_in(prefix: str, model: keras.Model, averages: list[tf.Variable]) -> list[tf.Variable]:
    """Select those averages that a checkpoint holds, given one per weight.

    Version 0.1.0 kept no averages of weights that are not trained.
    """
    names = [name for name, _ in tf.train.list_variables(prefix) if name.startswith("averages/")]
    if len(names) == len(averages):
        return averages
    return [average for average, w in zip(averages, model.weights) if w.trainable]


def restore_weights(directory: Path, model: keras.Model) -> int:
    """Load the weights of the newest whole checkpoint, or their averages if it has them.

    Returns:
        The checkpoint's step.

    Raises:
        UserError: no whole checkpoint there, or one of another model.
    """
    step = tf.Variable(0, dtype=tf.int64)

    def restore(prefix):
        saved = tf.train.Checkpoint(weights=flat_weights(model), step=step)
        saved.read(prefix).expect_partial().assert_existing_objects_matched()
        if holds(prefix, "averages"):
            saved = tf.train.Checkpoint(averages=averages_in(prefix, model, flat_weights(model)))
            saved.read(prefix).expect_partial().assert_existing_objects_matched()

    if restore_newest(directory, model, restore) is None:
        raise UserError(f"no whole checkpoint in {directory}")
    return int(step)


def restore_newest(
    directory: Path, model: keras.Model, restore: Callable[[str], None]
) -> Path | None:
    """Restore the newest whole checkpoint, and report newer incomplete ones on standard error.

    Args:
        directory: folder of the checkpoints.
        model: the model whose weights they hold.
        restore: restores a whole checkpoint, given its prefix as TensorFlow names it.

    Returns:
        The checkpoint's path, or None if there is none.

    Raises:
        UserError: the checkpoint holds the weights of another model, or lacks other parts.
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
            try:
                restore(prefix)
            except (AssertionError, tf.errors.OpError, ValueError) as error:
                reason = (str(error).splitlines() or ["?"])[0][:200]
                raise UserError(f"checkpoint {path} cannot be restored: {reason}") from None
            return path
    return None


def holds(prefix: str, part: str) -> bool:
    """Return whether a checkpoint holds a part, such as 'averages'."""
    return any(name.startswith(f"{part}/") for name, _ in tf.train.list_variables(prefix))


def _fault(prefix: str) -> str | None:
    """Read every tensor of a checkpoint against its checksum; return the fault, or None."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    # The reader raises all of these for its own errors.
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        return str(error).splitlines()[0][:200]
    return None
