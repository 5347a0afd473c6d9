"""Saving and restoring everything that training depends on."""

import re
from pathlib import Path

import tensorflow as tf

from tfvrnn import run_folder
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
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.videos = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.averages = averages
        parts = dict(model=model, optimizer=optimizer, step=self.step, videos=self.videos)
        if averages:
            parts["averages"] = averages.averages
        self.checkpoint = tf.train.Checkpoint(**parts)
        self.directory = folder.checkpoints
        self.keep = keep

    def save(self) -> Path:
        """Save under the current step; the oldest beyond `keep` are deleted."""
        manager = tf.train.CheckpointManager(
            self.checkpoint, str(self.directory), self.keep, checkpoint_name="ckpt"
        )
        path = manager.save(checkpoint_number=int(self.step))
        self._forget_times()
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
        """Restore the newest whole checkpoint; its path, or None where there is none."""
        path = run_folder.restore_newest(self.directory, self.checkpoint)
        if path and self.averages:
            saved = {name for name, _ in tf.train.list_variables(str(path))}
            if not any(name.startswith("averages/") for name in saved):
                self.averages.restart()
        return path
