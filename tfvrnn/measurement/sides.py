"""A side of a measurement: videos in a folder or an array, or features computed earlier."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfvrnn import media
from tfvrnn.config import UserError, expanded
from tfvrnn.data.video_folder import sort_out
from tfvrnn.measurement import arrays
from tfvrnn.measurement.statistics import Statistics, is_statistics, read_statistics

SIDES = ("real", "generated")


@dataclass(frozen=True)
class FileVideo:
    """A video file, or a folder of images.

    Attributes:
        name: within its side.
        path: of the file or the folder.
    """

    name: str
    path: Path

    @property
    def key(self) -> str:
        """The name for pairing, without the ending."""
        return self.name if self.path.is_dir() else str(Path(self.name).with_suffix(""))

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames, uint8 `[H, W, 3]`."""
        return media.frames_of(self.path)

    def rate(self) -> float:
        """Return the frames per second, or NaN if the file does not say."""
        return media.frame_rate(self.path) or np.nan

    def identity(self) -> str:
        """Return a text that changes with the file."""
        parts = media.images_in(self.path) if self.path.is_dir() else [self.path]
        stats = [(part.name, part.stat()) for part in parts if part.exists()]
        facts = [(name, s.st_size, s.st_mtime_ns) for name, s in stats]
        return repr([os.path.realpath(self.path), self.name, *facts])


@dataclass(frozen=True, eq=False)
class ArrayVideo:
    """A part of an array.

    Attributes:
        name: its number, such as 3, or 3_0 for samples.
        pixels: uint8 `[T, H, W, 1 or 3]`.
        origin: a text that changes with the array's file; '' without a file.
    """

    name: str
    pixels: np.ndarray
    origin: str

    @property
    def key(self) -> str:
        """The name for pairing."""
        return self.name

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames, uint8 `[H, W, 1 or 3]`."""
        return iter(self.pixels)

    def rate(self) -> float:
        """Return NaN, as arrays have no frame rate."""
        return np.nan

    def identity(self) -> str:
        """Return a text that changes with the file, or with the content if there is no file."""
        content = self.origin or hashlib.sha256(self.pixels.tobytes()).hexdigest()
        return f"{self.name} {self.pixels.shape} {content}"


Video = FileVideo | ArrayVideo


@dataclass
class Side:
    """One of the two sides.

    Attributes:
        label: 'real' or 'generated'.
        source: where it comes from.
        kind: 'videos', 'array' or 'statistics'.
        left_out: {name: reason} of what cannot be used.
    """

    label: str
    source: str
    kind: str
    videos: list[Video] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    statistics: Statistics | None = None


def open_side(
    label: str, source: str | Path | np.ndarray, key: str, samples: bool, scratch: Path
) -> Side:
    """Find the videos of a side.

    Args:
        label: 'real' or 'generated'.
        source: a folder, a video file, an .npy or .npz, a file of statistics, or an array.
        key: name of the array in an .npz.
        samples: whether an array may hold several samples of each video.
        scratch: see `open_array`.

    Raises:
        UserError: nothing there, or nothing that can be read.
    """
    if isinstance(source, np.ndarray):
        return _of_array(Side(label, f"the {label} array", "array"), source, samples, "")
    path = expanded(source)
    if not path.exists():
        raise UserError(f"--{label}: no folder or file {path}")
    is_array = path.is_file() and path.suffix.lower() in arrays.ENDINGS
    if key and not is_array:
        raise UserError(f"--{label}_key names an array in an .npz. Received: {path}")
    if not is_array:
        return _of_folder(Side(label, str(path), "videos"), path)
    if path.suffix.lower() == ".npz" and is_statistics(path):
        return Side(label, str(path), "statistics", statistics=read_statistics(path))
    stat = path.stat()
    array = arrays.open_array(path, key, scratch)
    origin = f"{path.resolve()} {key} {stat.st_size} {stat.st_mtime_ns}"
    return _of_array(Side(label, str(path), "array"), array, samples, origin)


def _of_folder(side: Side, path: Path) -> Side:
    found, side.left_out = ([path], {}) if path.is_file() else sort_out(path)
    for video in found:
        name = path.name if video == path else str(video.relative_to(path))
        side.videos.append(FileVideo(name, video))
    if not found:
        strays = itertools.islice(side.left_out.items(), 1)
        why = "".join(f" ({name}: {reason})" for name, reason in strays)
        raise UserError(f"--{side.label}: no videos in {path}{why}")
    return side


def _of_array(side: Side, array: np.ndarray, samples: bool, origin: str) -> Side:
    name = side.source if origin else f"`{side.label}`"
    arrays.check_videos(array, name, samples)
    for number in range(len(array)):
        if array.ndim == 5:
            side.videos.append(ArrayVideo(str(number), array[number], origin))
            continue
        for sample in range(array.shape[1]):
            video = ArrayVideo(f"{number}_{sample}", array[number, sample], origin)
            side.videos.append(video)
    return side
