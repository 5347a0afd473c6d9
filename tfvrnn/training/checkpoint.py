"""Saving and restoring everything that training depends on."""

from pathlib import Path

import tensorflow as tf

from tfvrnn import files, run_folder
from tfvrnn.config import UserError
from tfvrnn.training.optimizer import MovingAverages


class Checkpoints:
    """The checkpoints of a training run: `ckpt-<step>` in the run's `checkpoints/`.

    They hold the weights, the optimizer's slots and loss scale, the moving averages, the step,
    and how many videos of the training data were consumed; noise and data are functions of
    those. `checkpoint` lists them, for TensorFlow's own tools. No clock times, so that equal runs
    write equal files.

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
        self.list = self.directory / "checkpoint"
        self.keep = keep
        self._whole: set[Path] = set()  # those that this process restored or saved

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
        return self.list.is_file()

    def advance(self, videos: int) -> None:
        """One more step is done, on so many videos."""
        self._step.assign_add(1)
        self._videos.assign_add(videos)

    def save(self) -> Path:
        """Save under the current step; the oldest beyond `keep` are deleted.

        Raises:
            UserError: it cannot be written; those before stay.
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
        """List the newest `keep` and delete the others, first those that may not be whole."""
        paths = run_folder.checkpoint_paths(self.directory)[::-1]
        paths.sort(key=lambda path: path in self._whole)
        kept = paths[-self.keep :]
        lines = [f'model_checkpoint_path: "{kept[-1].name}"']
        lines += [f'all_model_checkpoint_paths: "{path.name}"' for path in kept]
        files.write_whole(self.list, "\n".join(lines) + "\n")
        for path in paths[: -self.keep]:
            for part in self.directory.glob(f"{path.name}.*"):
                part.unlink()

    def restore(self) -> Path | None:
        """Restore the newest whole checkpoint; its path, or None where there is none.

        Loss scale and averages begin anew where the run did not have them before.

        Raises:
            UserError: it holds another model.
        """
        path = run_folder.restore_newest(self.directory, self.model, self._restore)
        if path:
            self._whole.add(path)
        return path

    def _restore(self, prefix):
        optional = {n: part for n, part in self.optional.items() if run_folder.holds(prefix, n)}
        if "averages" in optional:
            optional["averages"] = run_folder.averages_in(
                prefix, self.model, self.averages.averages
            )
        checkpoint = tf.train.Checkpoint(**self.parts, **optional)
        checkpoint.read(prefix).assert_existing_objects_matched().expect_partial()
        if self.averages:
            self.averages.restart(kept=optional.get("averages", ()))
