"""Saving and restoring everything that training depends on."""

import re
from pathlib import Path

import tensorflow as tf

from tfvrnn import run_folder
from tfvrnn.config import UserError
from tfvrnn.training.optimizer import MovingAverages


class Checkpoints:
    """The checkpoints of a training run: `ckpt-<step>` in the run's `checkpoints/`.

    They hold the weights, the optimizer's slots and loss scale, the moving averages, the step,
    and how many videos of the training data were consumed; noise and data are functions of
    those. No clock times, so that equal runs write equal files.

    Args:
        folder: the run.
        model, optimizer: built.
        averages: of the weights, or None.
        keep: how many of the newest to keep.
    """

    def __init__(
        self,
        folder: run_folder.RunFolder,
        model,
        optimizer,
        averages: MovingAverages | None = None,
        keep: int = 3,
    ):
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._videos = tf.Variable(0, dtype=tf.int64, trainable=False)
        # The optimizer that scales the loss lies beside the one inside it, so that a run can
        # go on under another precision.
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        self.model = model
        weights = run_folder.flat_weights(model)
        self.parts = dict(weights=weights, optimizer=inner, step=self._step, videos=self._videos)
        self.optional = {}
        if optimizer is not inner:
            scale = [optimizer.dynamic_scale.value, optimizer.step_counter.value]
            self.optional["loss_scale"] = scale
        if averages:
            self.optional["averages"] = averages.averages
        self.averages = averages
        self.directory = folder.checkpoints
        self.manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**self.parts, **self.optional),
            str(self.directory),
            max_to_keep=keep,
            checkpoint_name="ckpt",
        )

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._step.numpy())

    @property
    def videos(self) -> int:
        """Videos of the training data consumed."""
        return int(self._videos.numpy())

    @property
    def were_saved(self) -> bool:
        """Whether any was ever saved to its end: the list of them is written last."""
        return (self.directory / "checkpoint").is_file()

    def advance(self, videos: int) -> None:
        """One more step is done, on so many videos."""
        self._step.assign_add(1)
        self._videos.assign_add(videos)

    def save(self) -> Path:
        """Save under the current step; the oldest beyond `keep` are deleted.

        Raises:
            UserError: it cannot be written; those before stay.
        """
        try:
            path = self.manager.save(checkpoint_number=self.step)
            self._forget_times()
        except (OSError, tf.errors.OpError) as error:
            reason = " ".join(str(getattr(error, "message", error)).split())[:200]
            raise UserError(
                f"the checkpoint of step {self.step} cannot be written: {reason}"
            ) from None
        return Path(path)

    def _forget_times(self):
        """Replace the clock times in the manager's list of checkpoints by constants.

        1 for each checkpoint, 0 for the last preserved one: later ones may still be deleted.
        """
        state = self.directory / "checkpoint"
        text = re.sub(r"(checkpoint_timestamps): [0-9.e+]+", r"\1: 1.0", state.read_text())
        text = re.sub(r"(preserved_timestamp): [0-9.e+]+", r"\1: 0.0", text)
        temporary = state.with_suffix(".partial")
        temporary.write_text(text)
        temporary.replace(state)

    def restore(self) -> Path | None:
        """Restore the newest whole checkpoint; its path, or None where there is none.

        Loss scale and averages begin anew where the run did not have them before.

        Raises:
            UserError: it holds another model.
        """
        return run_folder.restore_newest(self.directory, self._restore)

    def _restore(self, path):
        run_folder.check_weights(path, self.model)
        optional = {n: part for n, part in self.optional.items() if run_folder.holds(path, n)}
        checkpoint = tf.train.Checkpoint(**self.parts, **optional)
        checkpoint.read(str(path)).assert_existing_objects_matched().expect_partial()
        saved = tf.train.load_variable(str(path), "save_counter/.ATTRIBUTES/VARIABLE_VALUE")
        self.manager.checkpoint.save_counter.assign(saved)
        if self.averages and "averages" not in optional:
            self.averages.restart()
