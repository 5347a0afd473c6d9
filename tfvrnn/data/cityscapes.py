"""Cityscapes sequences: snippets of 30 frames from a car, from the official archive.

Source: Cordts et al., "The Cityscapes Dataset", 2016, `leftImg8bit_sequence_trainvaltest`. The
licence forbids redistribution, so the dataset is prepared from a local archive or folder.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from tfvrnn.config import DataConfig, ModelConfig, UserError, expanded
from tfvrnn.data import tfrecord_reader, tfrecord_writer
from tfvrnn.data.source import VideoSource
from tfvrnn.data.tfrecord_writer import Prepared, Shard, Skipped
from tfvrnn.dataset_paths import prepared_folder

FRAMES = 30
SNIPPETS_A_SHARD = 32
WIDTH, HEIGHT = 2048, 1024
DROPPED = 512  # pixels on the left and on the right
SPLITS = {"train": "train", "val": "validation", "test": "test"}
# The name excludes leftImg8bit/, the stills with labels, which may lie beside the sequences.
NAME = re.compile(
    r"(?!(?:.*/)?leftImg8bit/)(?:.*/)?(?P<split>train|val|test)/(?P<city>[\w-]+)/"
    r"(?P=city)_(?P<sequence>\d{6})_(?P<frame>\d{6})_leftImg8bit\.png"
)

# Errors that zipfile and Pillow raise on damaged, encrypted and absurd files.
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)


def make_source(data: DataConfig, model: ModelConfig, split: str, start: int) -> VideoSource:
    """Read the official splits: any start in training, the first frames in validation and test."""
    return tfrecord_reader.prepared_source(data, model, split, start)


def prepare(
    source: str | Path, data_dir: str | Path, size: int = 64, channels: int = 3
) -> Prepared:
    """Prepare the snippets once: resize the central 1024x1024 of 2048x1024 bilinearly to `size`.

    Pillow's bilinear filter uses all pixels that a pixel of the small picture covers.

    Args:
        source: the zip archive, or the folder it was unpacked into
            (`{train,val,test}/{city}/{city}_{sequence}_{frame}_leftImg8bit.png` below it).
        size: side of the frames.
        channels: 1 or 3.

    Returns:
        `Prepared`. It names the snippets left out: those without exactly 30 frames, with
        unreadable pictures, or with pictures of another size than 2048x1024.

    Raises:
        UserError: no such archive, or nothing of that layout in it; see also
            `tfrecord_writer.write_dataset`.
    """
    archive = expanded(source)
    snippets = find_snippets(_names(archive))
    shards = [
        Shard(SPLITS[split], own[k : k + SNIPPETS_A_SHARD])
        for split in SPLITS
        if (own := [names for names in snippets if _split_of(names[0]) == split])
        for k in range(0, len(own), SNIPPETS_A_SHARD)
    ]
    if not shards:
        raise UserError(
            f"{archive} holds no {{train,val,test}}/city/city_000000_000000_leftImg8bit.png"
        )
    features = {
        "video": tfds.features.Video(shape=(FRAMES, size, size, channels), encoding_format="png"),
        "name": tfds.features.Text(),
    }

    def make(work: list[list[str]]) -> Iterator[dict | Skipped]:
        with _Pictures(archive) as pictures:
            for names in work:
                yield _record(pictures, names, size, channels)

    folder = prepared_folder("cityscapes", data_dir, size, channels)
    options = {"size": size, "channels": channels}
    text = "Cityscapes sequences, 30 frames, the central square."
    return tfrecord_writer.write_dataset(folder, features, shards, make, options, text)


def find_snippets(names: list[str]) -> list[list[str]]:
    """Group the names of frames into snippets, in order.

    Consecutive frames of one city and sequence are cut after every 30, if their number is a
    multiple of 30. Otherwise it is unknown where snippets begin, so they stay one group.
    """
    parsed = [(match.groupdict(), n) for n in sorted(names) if (match := NAME.fullmatch(n))]
    runs, before = [], None
    for parts, name in parsed:
        place = (parts["split"], parts["city"], parts["sequence"], int(parts["frame"]))
        if before is None or place != (*before[:3], before[3] + 1):
            runs.append([])
        runs[-1].append(name)
        before = place
    return [
        run[k : k + length]
        for run in runs
        for length in [len(run) if len(run) % FRAMES else FRAMES]
        for k in range(0, len(run), length)
    ]


def _split_of(name: str) -> str:
    return PurePosixPath(name).parts[-3]  # of .../split/city/picture


def _names(archive: Path) -> list[str]:
    if archive.is_dir():
        return [path.relative_to(archive).as_posix() for path in archive.rglob("*.png")]
    try:
        with zipfile.ZipFile(archive) as file:
            return file.namelist()
    except OSError as error:
        raise UserError(f"{archive} cannot be read: {error.strerror}") from None
    except zipfile.BadZipFile:
        raise UserError(f"{archive} is neither a folder nor a whole zip archive") from None


def _record(pictures, names, size, channels) -> dict | Skipped:
    name = PurePosixPath(names[0]).name.removesuffix("_leftImg8bit.png")
    if len(names) != FRAMES:
        return Skipped(name, f"{len(names)} frames instead of {FRAMES}")
    frames = []
    for path in names:
        try:
            with pictures.open(path) as file, Image.open(file) as image:
                if image.size != (WIDTH, HEIGHT):
                    return Skipped(name, f"{path} is {image.size[0]}x{image.size[1]}")
                image = image.convert("L" if channels == 1 else "RGB")
                # Crop first: resizing a box would mix in the pixels beside it.
                square = image.crop((DROPPED, 0, WIDTH - DROPPED, HEIGHT))
                small = square.resize((size, size), Image.Resampling.BILINEAR)
        except DAMAGED:
            return Skipped(name, f"{path} cannot be read")
        frames.append(np.asarray(small).reshape(size, size, channels))
    return {"video": np.stack(frames), "name": name}


class _Pictures:
    """Opens files of an archive or a folder by name."""

    def __init__(self, archive: Path):
        self.archive = archive

    def __enter__(self):
        self.zip = None if self.archive.is_dir() else zipfile.ZipFile(self.archive)
        return self

    def __exit__(self, *_):
        if self.zip:
            self.zip.close()

    def open(self, name: str):
        return self.zip.open(name) if self.zip else (self.archive / name).open("rb")
