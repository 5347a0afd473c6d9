"""Summaries of a training run for TensorBoard."""

import dataclasses
import os

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.image import metadata as image_metadata

from tfvrnn import media
from tfvrnn.config import Config
from tfvrnn.runs import RunFolder


class Summaries:
    """Writers of a run's `tensorboard/train` and `tensorboard/validation`.

    Args:
        folder: the run.
        config: shown as HParams; the run's config.flags is shown as text.
    """

    def __init__(self, folder: RunFolder, config: Config):
        self.train, self.validation = (
            tf.summary.create_file_writer(os.fsencode(folder.tensorboard / part))
            for part in ("train", "validation")
        )
        text, shown = folder.config_file.read_text("utf-8"), _hparams(config)
        with self.train.as_default(step=0):
            tf.summary.text("configuration", "\n".join(f"    {x}" for x in text.splitlines()))
        with self.validation.as_default(step=0):
            hparams.hparams_config(
                hparams=[hparams.HParam(name) for name in shown],
                metrics=[
                    hparams.Metric(f"elbo/{name}", display_name=f"validation {name}")
                    for name in ("negative_elbo", "reconstruction", "kl")
                ],
            )
            hparams.hparams(shown, trial_id=_text(folder.path))

    def write_scalars(
        self, writer: tf.summary.SummaryWriter, step: int, scalars: dict[str, float]
    ) -> None:
        """Write scalars in groups: the parts of the ELBO, and the rest."""
        with writer.as_default(step=step):
            for name, value in scalars.items():
                tf.summary.scalar(f"{_group(name)}/{name}", value)

    def write_pictures(self, step: int, videos: dict[str, np.ndarray]) -> None:
        """Write the strip and the animated GIF of every video, with one row per name.

        Args:
            videos: {name: uint8 `[B, T, H, W, C]`}.
        """
        with self.validation.as_default(step=step):
            for number, rows in enumerate(zip(*videos.values())):
                rows_of = " / ".join(videos)
                tf.summary.image(f"strips/{number}", media.strip(rows)[None], description=rows_of)
                write_gif(f"videos/{number}", media.grid([rows]), step, description=rows_of)

    def flush(self) -> None:
        self.train.flush()
        self.validation.flush()


def _hparams(config: Config) -> dict:
    """{dotted name: value} of the options that the training depends on."""
    parts = dataclasses.asdict(config)
    values = {f"{p}.{n}": v for p in ("model", "data", "train") for n, v in parts[p].items()}
    del values["train.run_dir"], values["train.init_from"]
    numbers = (bool, int, float)
    return {name: v if isinstance(v, numbers) else _text(v) for name, v in values.items()}


def _text(value) -> str:
    """Convert a value to valid UTF-8, which file names need not be."""
    return str(value).encode("utf-8", "replace").decode()


def _group(name: str) -> str:
    if name.startswith("active_channels"):
        return "latents"
    elbo = ("loss", "negative_elbo", "reconstruction", "copy_last", "kl")
    if name.endswith(("_per_frame", "_per_dimension")):
        return "elbo_per_unit"
    return "elbo" if name in elbo or name.startswith("kl_") else "training"


def write_gif(tag: str, video: np.ndarray, step: int, description: str = "") -> None:
    """Write an animated GIF of `[T, H, W, C]` as an image of the default writer."""
    height, width = video.shape[1:3]
    tensor = tf.stack([str(width).encode(), str(height).encode(), media.to_gif(video)])
    metadata = image_metadata.create_summary_metadata(tag, description)
    tf.summary.write(tag, tensor, step=step, metadata=metadata)
