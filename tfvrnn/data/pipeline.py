"""One path from a dataset's name to batches of frames."""

import contextlib
import importlib

import tensorflow as tf

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import augment

SPLITS = ("train", "validation", "test")


def make_dataset(
    data: DataConfig,
    model: ModelConfig,
    split: str,
    start: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches of videos, in an order that is a function of (seed, split) alone.

    However many calls prepare videos at once, and wherever it starts, a video is the same.

    Args:
        data: which videos, how many in a batch; augmentation, in training.
        model: the size of the frames, and how many are context.
        split: 'train' (endless, whole batches only), 'validation' or 'test' (finite, the last
            batch may be smaller). No digit, clip or file is in two splits.
        start: number of the first video; a run that has consumed n videos goes on at n.
        shard: (k, n): every n-th video from the k-th on, for worker k of n; `data.batch_size` is
            the worker's own.

    Returns:
        Dataset of uint8 `[B, T, H, W, C]`, T = context + horizon.

    Raises:
        UserError: a split that there is not, a dataset that is not there or does not fit.
    """
    if split not in SPLITS:
        raise UserError(f"`split` must be one of {', '.join(SPLITS)}. Received: {split!r}")
    # A module a dataset, imported where it is wanted: TFDS takes seconds.
    module = importlib.import_module(f"tfvrnn.data.{data.dataset}")
    source = module.make_source(data, model, split, start)
    augmented = split == "train" and augment.is_wanted(data)

    def make(number, item):
        video = source.make(number, item)
        return augment.augment(video, number, data) if augmented else video

    items = source.items.shard(shard[1], shard[0])
    videos = items.map(make, num_parallel_calls=data.workers, deterministic=True)
    batches = videos.batch(data.batch_size, drop_remainder=split == "train")
    return batches.prefetch(tf.data.AUTOTUNE)


@contextlib.contextmanager
def reading(data: DataConfig):
    """While batches are read: a record that cannot be read is the user's to mend, in one line."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        reason = " ".join(str(error.message).split())[:200]
        raise UserError(f"dataset {data.dataset} cannot be read: {reason}") from None
