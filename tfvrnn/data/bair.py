"""BAIR robot pushing, 64x64, through TFDS `bair_robot_pushing_small`.

Source: Ebert et al., "Self-Supervised Visual Planning with Temporal Skip Connections", 2017. It has
43,264 videos for training and 256 for testing, with 30 frames each. Only `image_main` is read.
"""

from pathlib import Path

import tensorflow_datasets as tfds

from tfvrnn import files
from tfvrnn.config import DataConfig, ModelConfig, UserError, expanded
from tfvrnn.data import tfrecord_reader
from tfvrnn.data.source import VideoSource
from tfvrnn.data.tfrecord_writer import Prepared, Skipped

NAME, VERSION = "bair_robot_pushing_small", "2.0.0"
FRAMES, SHAPE = 30, (64, 64, 3)
VIDEOS = {"train": 43_264, "test": 256}
EXTRACTED = "softmotion30_44k"


def make_source(data: DataConfig, model: ModelConfig, split: str, start: int) -> VideoSource:
    """Read clips with any start in training, the first frames in validation and test."""
    builder = tfrecord_reader.open_prepared(data, model)
    return tfrecord_reader.make_source(
        builder, ("image_main", FRAMES, SHAPE), data, model, split, start
    )


def prepare(data_dir: str | Path, source: str | Path | None = None) -> Prepared:
    """Prepare the dataset once, with TFDS's own generator and progress bars.

    Args:
        data_dir: folder of prepared datasets; 30 GB are downloaded, and as much again is written.
        source: the downloaded tar (bair_robot_pushing_dataset_v0.tar), or the folder it was
            unpacked into; None or '': download it.

    Returns:
        `Prepared`; it names each split that has another number of videos than the whole dataset.

    Raises:
        UserError: no such file, not that dataset, or another preparation is running.
    """
    data_dir = expanded(data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with files.locked(data_dir / f".{NAME}.lock", f"preparing {data_dir / NAME}"):
            builder = tfds.builder(NAME, data_dir=data_dir, version=VERSION)
            if source:
                _read_from(builder, expanded(source))
            builder.download_and_prepare()
    except UserError:
        raise
    except Exception as error:  # TFDS raises anything on other files
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"bair cannot be prepared from {source or NAME}: {reason}") from None
    videos = {name: info.num_examples for name, info in builder.info.splits.items()}
    partial = [
        Skipped(split, f"{count - videos.get(split, 0)} of {count} videos")
        for split, count in VIDEOS.items()
        if videos.get(split) != count
    ]
    return Prepared(Path(builder.data_path), videos, partial)


def _read_from(builder, source: Path) -> None:
    """Make the builder read a local tar or folder."""
    if not source.exists():
        raise UserError(f"no file or folder {source}")
    generators = builder._split_generators

    def from_source(downloads):
        folder = source if source.is_dir() else Path(downloads.extract(source))
        for split in VIDEOS:
            if not any((folder / EXTRACTED / split).glob("*.tfrecords")):
                raise UserError(f"{source} holds no {EXTRACTED}/{split}/*.tfrecords")
        return generators(_Downloaded(folder))

    builder._split_generators = from_source


class _Downloaded:
    """Replaces the download manager: the files that it would fetch are there."""

    def __init__(self, folder: Path):
        self.folder = folder

    def download_and_extract(self, _) -> str:
        return str(self.folder)
