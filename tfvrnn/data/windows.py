"""Windows of long recordings: squares that cover the picture, split into spans of time."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfvrnn import media
from tfvrnn.config import UserError
from tfvrnn.data.tfrecord_writer import Shard

VALIDATION = 20  # one in 20 clips that are not for test is for validation
MOST_FILES = 500  # per split of a recording: many, because training shuffles whole files


def corners(length: int, side: int) -> list[int]:
    """List where windows begin along an edge of the picture.

    They are spread from end to end, at least half a window apart. A single one lies in the middle.
    """
    apart = 2 * (length - side) // side
    if not apart:
        return [(length - side) // 2]
    return [(length - side) * k // apart for k in range(apart + 1)]


def scaled(shape: tuple[int, ...], height: int) -> tuple[int, int]:
    """Return (height, width) of a picture at another height."""
    return height, round(shape[1] * height / shape[0])


def picture_fault(shape: tuple[int, ...], height: int, side: int) -> str | None:
    """Return why pictures of this shape are too small for windows, or None."""
    if shape[0] < height:
        return f"its pictures of {shape[1]}x{shape[0]} are lower than --windows={height}"
    width = scaled(shape, height)[1]
    if width < side:
        return f"at {width}x{height} its pictures are smaller than a window of {side}x{side}"
    return None


def split_in_time(clips: int, test_fraction: float) -> dict[str, range]:
    """Split clips into {split: clips}: the last for test, those before for validation.

    The result is {} if the clips are too few.
    """
    for_test = max(1, round(test_fraction * clips))
    for_validation = max(1, (clips - for_test) // VALIDATION)
    for_train = clips - for_test - for_validation
    if for_train < 1:
        return {}
    return {
        "train": range(for_train),
        "validation": range(for_train, clips - for_test),
        "test": range(clips - for_test, clips),
    }


def shards_of(name: str, content: str, splits: dict[str, range]) -> list[Shard]:
    """List the shards of a recording in order of time, each of [name, content, first, clips]."""
    return [
        Shard(split, [[name, content, part[0], len(part)]])
        for split, clips in splits.items()
        for many in [-(-len(clips) // MOST_FILES)]
        for k in range(0, len(clips), many)
        for part in [clips[k : k + many]]
    ]


class Reader:
    """Reads the windows of recordings.

    A span that follows the last one read is decoded from there. Others are decoded from the
    beginning. One clip is held in memory.
    """

    def __init__(self, open_: Callable[[str], Iterator[np.ndarray]], options: dict[str, Any]):
        self._open, self._options = open_, options
        self._frames, self._place = iter(()), None

    def records(self, name: str, text: str, first: int, clips: int) -> Iterator[dict]:
        """Yield all windows of a clip, then those of the next.

        Args:
            name: name of the recording.
            text: the same name, readable by people.
            first: number of the first clip.
            clips: number of clips.

        Raises:
            UserError: the recording has changed since it was inspected.
        """
        length, side = self._options["clip_frames"], self._options["side"]
        if self._place != (name, first):
            skipped = first * length
            self._frames = itertools.islice(self._open(name), skipped, None)
        for clip in range(first, first + clips):
            video = self._clip(text)
            self._place = (name, clip + 1)
            for (row, top), (column, left) in itertools.product(
                *(enumerate(corners(edge, side)) for edge in video.shape[1:3])
            ):
                yield {
                    "video": video[:, top : top + side, left : left + side],
                    "name": f"{text} row {row} column {column} frame {clip * length}",
                    "first_frame": clip * length,
                }

    def _clip(self, text: str) -> np.ndarray:
        length, channels = self._options["clip_frames"], self._options["channels"]
        pictures = []
        try:
            for frame in itertools.islice(self._frames, length):
                size = scaled(frame.shape, self._options["windows"])
                pictures.append(media.resized(frame, (*size, channels)))
        except media.VideoError as error:
            raise UserError(f"{text} can no longer be read: {error}") from None
        if len(pictures) < length:
            raise UserError(f"{text} changed while it was prepared")
        return np.stack(pictures)
