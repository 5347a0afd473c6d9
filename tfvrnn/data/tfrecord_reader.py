"""Read videos from TFRecords in the format of TFDS: choose their order, and where clips begin.

TFDS stores a sequence of images as a list of encoded images. They stay encoded until a clip is
chosen, so that frames outside it are never decoded.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data.source import VideoSource
from tfvrnn.dataset_paths import require_prepared

# Records are shuffled within blocks of this size; one block is held in memory.
BLOCK = 256
# Without its own split, validation is the last twentieth of train, at most this many records. Of
# whole files, it is as many of the last ones as have no more records than that, but at least one.
MOST_VALIDATION = 256


class RecordFile(NamedTuple):
    """Part of a file: `count` records from number `first` on."""

    path: bytes
    first: int
    count: int


def open_prepared(data: DataConfig, model: ModelConfig) -> tfds.core.DatasetBuilder:
    """Open the TFDS builder of a prepared dataset.

    Raises:
        UserError: no dataset there, or not a whole one.
    """
    folder = require_prepared(data, model)
    with _whole(folder):
        builder = tfds.builder_from_directory(folder)
        for info in builder.info.splits.values():
            _files(info)
        return builder


@contextlib.contextmanager
def _whole(folder: str | Path | None) -> Iterator[None]:
    """Turn errors of reading metadata into UserError; TFDS raises errors of any kind."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        raise UserError(
            f"the dataset in {folder} is not whole ({reason}): move it away and prepare it again"
        ) from None


def damaged_file(data: DataConfig, model: ModelConfig) -> str | None:
    """Return the path of the first file that does not hold all its records, or None.

    It reads all files, but does not decode their records.
    """
    for info in open_prepared(data, model).info.splits.values():
        for path, _, count in _files(info):
            try:
                whole = sum(1 for _ in tf.data.TFRecordDataset(path)) == count
            except tf.errors.OpError:
                whole = False
            if not whole:
                return os.fsdecode(path)
    return None


def prepared_source(
    data: DataConfig, model: ModelConfig, split: str, start: int, whole_files: bool = False
) -> VideoSource:
    """Read the videos of a dataset that `tfrecord_writer` wrote; see `make_source`."""
    builder = open_prepared(data, model)
    with _whole(builder.data_path):
        length, height, width, channels = builder.info.features["video"].shape
    frames_of = ("video", length, (height, width, channels))
    return make_source(builder, frames_of, data, model, split, start, whole_files)


def record_files(
    builder: tfds.core.DatasetBuilder, split: str, whole_files: bool = False
) -> list[RecordFile]:
    """List the files of 'train', 'validation' or 'test'; no record is in two of these splits.

    With `whole_files`, no file is in two splits either, if train has more than one file.

    Raises:
        UserError: the split does not exist, or is empty.
    """
    there = builder.info.splits
    stored = "train" if split == "validation" and split not in there else split
    if stored not in there:
        raise UserError(f"{builder.name} has no {stored} split; there are: {', '.join(there)}")
    files = _files(there[stored])
    if stored == "train" and "validation" not in there:
        ends = sum(file.count for file in files)
        start = _validation_start(files, whole_files)
        files = _cut(files, 0, start) if split == "train" else _cut(files, start, ends)
    if not sum(file.count for file in files):
        taken = ": its only clip is for validation" if there[stored].num_examples else ""
        raise UserError(f"the {split} split of {builder.name} is empty{taken}")
    return files


def _files(info) -> list[RecordFile]:
    return [RecordFile(os.fsencode(p), 0, n) for p, n in zip(info.filepaths, info.shard_lengths)]


def _validation_start(files: list[RecordFile], whole_files: bool) -> int:
    total = sum(file.count for file in files)
    wanted = total - min(MOST_VALIDATION, -(-total // 20))
    if not whole_files or files[-1].count == total:
        return wanted
    starts = list(itertools.accumulate(file.count for file in files[:-1]))
    return min((start for start in starts if start >= wanted), default=starts[-1])


def _cut(files: list[RecordFile], start: int, stop: int) -> list[RecordFile]:
    """Select records `start` to `stop` of the files, counted through all of them."""
    pieces = []
    for path, first, count in files:
        low, high = max(start, 0), min(stop, count)
        if low < high:
            pieces.append(RecordFile(path, first + low, high - low))
        start, stop = start - count, stop - count
    return pieces


def make_source(
    builder: tfds.core.DatasetBuilder,
    frames_of: tuple[str, int, tuple[int, int, int]],
    data: DataConfig,
    model: ModelConfig,
    split: str,
    start: int,
    whole_files: bool = False,
) -> VideoSource:
    """Read the videos of a prepared dataset.

    Args:
        builder: the result of `open_prepared`.
        frames_of: (key of the list of encoded frames, frames per record, (H, W, C)).
        data, model: the options.
        split: 'train', 'validation' or 'test'.
        start: number of the first video.
        whole_files: see `record_files`.

    Raises:
        UserError: frames of another size than the model's, or a clip longer than the videos.
    """
    key, length, shape = frames_of
    if tuple(shape) != model.image_shape:
        raise UserError(
            f"the videos of {builder.data_path} are {_by(shape)}; the model's are "
            f"{_by(model.image_shape)} (--model.image_size, --model.channels)"
        )
    frames = model.context_frames + data.horizon
    needed = (frames - 1) * data.stride + 1
    if needed > length:
        raise UserError(
            f"a clip of {frames} frames at stride {data.stride} needs {needed}; "
            f"the videos of {builder.data_path} have {length}"
        )
    files = record_files(builder, split, whole_files)
    in_training = split == "train"
    if in_training:
        items = _shuffled(files, data.seed, start)
    else:
        items = _in_order(_cut(files, start, sum(file.count for file in files)))

    def make(number, record):
        first = 0
        if in_training:
            seed = tf.stack([tf.constant(data.seed, tf.int64), number])
            starts = length - needed + 1
            first = tf.random.stateless_uniform((), seed, 0, starts, tf.int32, alg="philox")
        spec = {key: tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)}
        encoded = tf.io.parse_single_example(record, spec)[key]
        chosen = encoded[first : first + needed : data.stride]
        decode = tf.function(lambda image: tf.ensure_shape(tf.image.decode_png(image), shape))
        return tf.ensure_shape(tf.map_fn(decode, chosen, tf.uint8), (frames, *shape))

    return VideoSource(items.enumerate(start), make)


def _by(shape) -> str:
    return "x".join(map(str, shape))


def _in_order(files: list[RecordFile]) -> tf.data.Dataset:
    records = tf.data.Dataset.from_tensor_slices(_columns(files)).flat_map(_read)
    total = sum(file.count for file in files)
    return records.apply(tf.data.experimental.assert_cardinality(total))


def _columns(files: list[RecordFile]) -> tuple[tf.Tensor, np.ndarray, np.ndarray]:
    paths = tf.constant([file.path for file in files], tf.string)
    firsts, counts = (np.array([f[k] for f in files], np.int64) for k in (1, 2))
    return paths, firsts, counts


def _read(path, first, count) -> tf.data.Dataset:
    """Read the records of a part; raise an error at the end if there were fewer."""
    records = tf.data.TFRecordDataset(path).skip(first).take(count)
    return records.apply(tf.data.experimental.assert_cardinality(count))


def _shuffled(files: list[RecordFile], seed: int, start: int) -> tf.data.Dataset:
    """Yield endless epochs from `start`: files in a new order, records shuffled within blocks.

    Nothing before `start` is decoded. Reading starts at the block of its epoch that holds `start`.
    """
    epoch, offset = divmod(start, sum(file.count for file in files))
    blocks, rest = divmod(offset, BLOCK)
    order = _permutation(seed, epoch, len(files)).numpy()
    left = _cut([files[k] for k in order], blocks * BLOCK, sum(file.count for file in files))
    begun = _mixed(_in_order(left), seed, epoch, blocks).skip(rest)

    def whole(epoch):
        order = _permutation(seed, epoch, len(files))
        columns = tuple(tf.gather(column, order) for column in _columns(files))
        records = tf.data.Dataset.from_tensor_slices(columns).flat_map(_read)
        return _mixed(records, seed, epoch, 0)

    return begun.concatenate(tf.data.Dataset.range(epoch + 1, tf.int64.max).flat_map(whole))


def _mixed(records, seed, epoch, first_block) -> tf.data.Dataset:
    def mix(block, records):
        return tf.gather(records, _permutation(seed, epoch, tf.shape(records)[0], block + 1))

    return records.batch(BLOCK).enumerate(first_block).map(mix).unbatch()


def _permutation(seed: int, epoch, count, part=0):
    """Draw an order of `count` files (part 0) or of a block's records (other parts)."""
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    key = tf.random.experimental.stateless_fold_in(key, tf.cast(part, tf.int64), alg="philox")
    return tf.argsort(tf.random.stateless_uniform((count,), key, alg="philox"))
