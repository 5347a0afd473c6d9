"""One path from a dataset's name to batches of frames."""

import tensorflow as tf

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import smmnist

SPLITS = ("train", "validation", "test")
SOURCES = {"smmnist": smmnist.make_videos}


def make_dataset(
    data: DataConfig, model: ModelConfig, split: str, start: int = 0
) -> tf.data.Dataset:
    """Batches of videos, in an order that is a function of (seed, split) alone.

    Args:
        data: which videos, how many in a batch.
        model: the size of the frames, and how many are context.
        split: 'train' (endless, whole batches only), 'validation' or 'test' (finite, the last
            batch may be smaller). No digit, clip or file is in two splits.
        start: number of the first video; a run that has consumed n videos goes on at n.

    Returns:
        Dataset of uint8 `[B, T, H, W, C]`, T = context + horizon.

    Raises:
        UserError: a split or dataset that there is not.
    """
    if split not in SPLITS:
        raise UserError(f"`split` must be one of {', '.join(SPLITS)}. Received: {split!r}")
    if data.dataset not in SOURCES:
        raise UserError(f"dataset {data.dataset} cannot be read; there are: {', '.join(SOURCES)}")
    videos = SOURCES[data.dataset](data, model, split, start)
    batches = videos.batch(data.batch_size, drop_remainder=split == "train")
    return batches.prefetch(tf.data.AUTOTUNE)
