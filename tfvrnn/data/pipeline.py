"""One path from a dataset's name to batches of frames."""

import dataclasses
import importlib
import re
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
    """Make batches of videos, in an order that is a function of (seed, split) only.

    A video does not depend on the number of parallel calls, nor on `start`.

    Args:
        data: the dataset, the batch size, and the augmentation in training.
        model: the size of the frames, and the number of context frames.
        split: 'train' (endless, whole batches only), 'validation' or 'test' (finite, the last
            batch may be smaller). No digit, clip or file is in two splits.
        start: number of the first video; a run that has consumed n videos continues at n.
        shard: (k, n): take the k-th of n equal parts of every batch, the part of worker k of n.
        parts: number of equal parts that the worker's part is yielded in, one after another.

    Returns:
        Dataset of uint8 `[data.batch_size / n / parts, T, H, W, C]`, T = context + horizon.

    Raises:
        UserError: no such split, a dataset that is missing or does not fit, or a batch that does
            not divide.
    """
    if split not in SPLITS:
        raise UserError(f"`split` must be one of {', '.join(SPLITS)}. Received: {split!r}")
    if data.batch_size % (shard[1] * parts):
        raise UserError(
            f"`data.batch_size` must divide into {shard[1] * parts} equal parts. "
            f"Received: {data.batch_size}"
        )
    # Each dataset is a module, imported on demand: TFDS takes seconds to import.
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
    # Parallelism is fixed, so autotuning has nothing to do. Its thread could delay the end of a
    # run.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(PREFETCHED).with_options(options)


def count_videos(data: DataConfig, model: ModelConfig, split: str) -> int:
    """Count the videos of a split. A generated one has no end: -1."""
    videos = make_dataset(dataclasses.replace(data, batch_size=1), model, split)
    return max(-1, int(videos.cardinality()))


def first_videos(data: DataConfig, model: ModelConfig, split: str, count: int) -> np.ndarray:
    """Read the first videos of a split, uint8 `[count, T, H, W, C]`.

    Raises:
        UserError: the split has fewer, or they cannot be read; see also `make_dataset`.
    """
    data = dataclasses.replace(data, batch_size=count)
    videos = next(read(make_dataset(data, model, split), data, model)).numpy()
    if len(videos) < count:
        raise UserError(f"the {split} split has {len(videos)} videos, not {count}")
    return videos


def _part(items: tf.data.Dataset, batch: int, k: int, n: int) -> tf.data.Dataset:
    """Take the k-th of n equal parts of every `batch` items."""
    if n == 1:
        return items
    part = slice(k * batch // n, (k + 1) * batch // n)
    blocks = items.batch(batch)
    return blocks.map(lambda *block: tf.nest.map_structure(lambda x: x[part], block)).unbatch()


def _served(batches: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """Let the worker of a tf.data service make the batches, in the same order.

    The job belongs to this process only. All processes that ask for a named job share it. A
    restarted run would then continue where the previous one left the job, not at its own start.
    """
    service = tf.data.experimental.service
    return batches.apply(service.distribute(service.ShardingPolicy.DYNAMIC, address))


def read(batches: Iterable, data: DataConfig, model: ModelConfig | None = None) -> Iterator:
    """Yield the batches that `make_dataset` made from these options.

    Raises:
        UserError: a record cannot be read, which the user must fix. If `model` is given, the error
            names the damaged file. Errors from using the batches are not converted.
    """
    try:
        yield from batches
    except (
        tf.errors.DataLossError,
        tf.errors.NotFoundError,
        tf.errors.FailedPreconditionError,  # records are missing
        tf.errors.PermissionDeniedError,
        tf.errors.UnknownError,  # of the disk
        # Whole records of something else. TensorFlow's message may not even be text.
        tf.errors.InvalidArgumentError,
        UnicodeDecodeError,
    ) as error:
        reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(getattr(error, "message", error)))
        reason = " ".join(reason.split())[:200]
        raise UserError(f"{_unreadable(data, model)} cannot be read: {reason}") from None


def _unreadable(data, model):
    """Name a dataset, and its damaged file if one is found."""
    if model is None or data.dataset == "smmnist" or data.service:
        return f"dataset {data.dataset}"
    from tfvrnn.data import tfrecord_reader

    path = tfrecord_reader.damaged_file(data, model)
    return f"dataset {data.dataset}: {path}" if path else f"dataset {data.dataset}"
