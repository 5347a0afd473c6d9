"""One path from a dataset's name to batches of frames."""

import dataclasses
import importlib
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import augment

SPLITS = ("train", "validation", "test")
PREFETCHED = 4  # batches


def make_dataset(
    data: DataConfig,
    model: ModelConfig,
    split: str,
    start: int = 0,
    shard: tuple[int, int] = (0, 1),
    parts: int = 1,
) -> tf.data.Dataset:
    """Batches of videos, in an order that is a function of (seed, split) alone.

    However many calls prepare videos at once, and wherever it starts, a video is the same.

    Args:
        data: which videos, how many in a batch; augmentation, in training.
        model: the size of the frames, and how many are context.
        split: 'train' (endless, whole batches only), 'validation' or 'test' (finite, the last
            batch may be smaller). No digit, clip or file is in two splits.
        start: number of the first video; a run that has consumed n videos goes on at n.
        shard: (k, n): of every batch, the k-th of n equal parts: what worker k of n reads.
        parts: equal parts that the worker's own are given in, one after another.

    Returns:
        Dataset of uint8 `[data.batch_size / n / parts, T, H, W, C]`, T = context + horizon.

    Raises:
        UserError: a split that there is not, a dataset that is not there or does not fit, a
            batch that does not divide.
    """
    if split not in SPLITS:
        raise UserError(f"`split` must be one of {', '.join(SPLITS)}. Received: {split!r}")
    if data.batch_size % (shard[1] * parts):
        raise UserError(
            f"`data.batch_size` must divide into {shard[1] * parts} equal parts. "
            f"Received: {data.batch_size}"
        )
    # A module a dataset, imported where it is wanted: TFDS takes seconds.
    module = importlib.import_module(f"tfvrnn.data.{data.dataset}")
    source = module.make_source(data, model, split, start)
    training = split == "train"
    augmented = training and augment.is_wanted(data)

    def make(number, item):
        video = source.make(number, item)
        return augment.augment(video, number, data) if augmented else video

    items = _part(source.items, data.batch_size, *shard)
    videos = items.map(make, num_parallel_calls=data.workers, deterministic=True)
    size = data.batch_size // (shard[1] * parts)
    batches = videos.batch(size, drop_remainder=training)
    if data.service and training:
        batches = _served(batches, data.service)
    # What runs at once is set; the tuner has nothing to do, and a run that ends may wait for it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(PREFETCHED).with_options(options)


def first_videos(data: DataConfig, model: ModelConfig, split: str, count: int) -> np.ndarray:
    """The first videos of a split, uint8 `[count, T, H, W, C]`.

    Raises:
        UserError: it has fewer, or they cannot be read; see `make_dataset` for others.
    """
    data = dataclasses.replace(data, batch_size=count)
    videos = next(read(make_dataset(data, model, split), data)).numpy()
    if len(videos) < count:
        raise UserError(f"the {split} split has {len(videos)} videos, not {count}")
    return videos


def _part(items: tf.data.Dataset, batch: int, k: int, n: int) -> tf.data.Dataset:
    """Of every `batch` items the k-th of n equal parts."""
    if n == 1:
        return items
    part = slice(k * batch // n, (k + 1) * batch // n)
    blocks = items.batch(batch)
    return blocks.map(lambda *block: tf.nest.map_structure(lambda x: x[part], block)).unbatch()


def _served(batches: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """The batches, made by the worker of a tf.data service, in the same order.

    A job of this process alone: a named one would be shared with all that ask for it, and a run
    that is started again would go on in the middle of what the one before has left of it.
    """
    service = tf.data.experimental.service
    return batches.apply(service.distribute(service.ShardingPolicy.DYNAMIC, address))


def read(batches: Iterable[tf.Tensor], data: DataConfig) -> Iterator[tf.Tensor]:
    """The batches of a dataset, one after another.

    Raises:
        UserError: a record cannot be read, which is the user's to mend. No error of what is done
            with the batches.
    """
    try:
        yield from batches
    except (
        tf.errors.DataLossError,
        tf.errors.NotFoundError,
        tf.errors.FailedPreconditionError,  # records are missing
        # Whole records of something else; TensorFlow's message may not even be text.
        tf.errors.InvalidArgumentError,
        UnicodeDecodeError,
    ) as error:
        reason = " ".join(str(getattr(error, "message", error)).split())[:200]
        raise UserError(f"dataset {data.dataset} cannot be read: {reason}") from None
