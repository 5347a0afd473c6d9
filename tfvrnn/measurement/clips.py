"""Clips read from videos: their frames and their size."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tfvrnn.config import UserError
from tfvrnn.measurement.sides import Video

FILTERS = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Clip:
    """A clip: the number of its video within the side, and its first frame."""

    video: int
    start: int


@dataclass(frozen=True)
class Reading:
    """How clips are read: everything on which their pixels depend.

    Attributes:
        frames: of a clip.
        stride: from one frame to the next.
        height, width: of the result.
        fit, filter, grey: see `MeasureConfig`.
    """

    frames: int
    stride: int
    height: int
    width: int
    fit: str
    filter: str
    grey: bool

    @property
    def span(self) -> int:
        """Frames of the video from the first to the last of a clip, both included."""
        return (self.frames - 1) * self.stride + 1

    def values(self) -> dict:
        """Return the values for JSON."""
        return dataclasses.asdict(self)

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """Return a frame as it is measured.

        Args:
            frame: uint8 `[H, W, 1 or 3]`.

        Returns:
            uint8 `[height, width, 3]`, with grey repeated.
        """
        frame = np.broadcast_to(frame, (*frame.shape[:2], 3))
        if frame.shape[:2] != (self.height, self.width):
            frame = self._cut(frame) if self.fit == "crop" else frame
        if frame.shape[:2] != (self.height, self.width):
            image = Image.fromarray(np.ascontiguousarray(frame))
            frame = np.asarray(image.resize((self.width, self.height), FILTERS[self.filter]))
        if self.grey:
            lightness = np.asarray(Image.fromarray(np.ascontiguousarray(frame)).convert("L"))
            frame = np.broadcast_to(lightness[..., None], frame.shape)
        return frame

    def _cut(self, frame: np.ndarray) -> np.ndarray:
        """Crop the largest central square, or, with the filter none, one of the result's size."""
        side = self.height if self.filter == "none" else min(frame.shape[:2])
        top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
        return frame[top : top + side, left : left + side]


def starts_of(frames: int, first: int, rule: str, reading: Reading, drawn: str) -> list[int]:
    """Return the starts of the clips of a video, none if it is too short.

    Args:
        frames: of the video.
        first: frames to skip.
        rule: `MeasureConfig.clips`.
        reading: gives the length of clips.
        drawn: a text that determines a random start.
    """
    room = frames - first - reading.span
    if room < 0:
        return []
    if rule == "all":
        return list(range(first, first + room + 1, reading.frames * reading.stride))
    if rule == "random":
        ticket = hashlib.sha256(drawn.encode("utf-8", "surrogateescape")).hexdigest()
        return [first + int(ticket, 16) % (room + 1)]
    return [first + room // 2 if rule == "centre" else first]


def read_clips(
    videos: Sequence[Video], clips: Sequence[Clip], reading: Reading
) -> Iterator[np.ndarray]:
    """Yield the clips in order, uint8 `[frames, height, width, 3]`.

    Successive clips of one video are read in one pass.

    Raises:
        UserError: a video that has changed since it was surveyed.
    """
    for number, group in itertools.groupby(clips, key=lambda clip: clip.video):
        yield from _clips_of(videos[number], [clip.start for clip in group], reading)


def _clips_of(video: Video, starts: list[int], reading: Reading) -> Iterator[np.ndarray]:
    frames, place = video.frames(), 0
    for start in starts:
        if start < place:  # it overlaps what was read, so begin again
            frames, place = video.frames(), 0
        begin = start - place
        wanted = itertools.islice(frames, begin, begin + reading.span, reading.stride)
        try:
            taken = [reading.picture(frame) for frame in wanted]
        except (ValueError, OSError) as error:  # VideoError is one
            raise UserError(f"{video.name} has changed since it was looked at: {error}") from None
        if len(taken) != reading.frames:
            raise UserError(f"{video.name} has changed since it was looked at: it is shorter")
        place = start + reading.span
        yield np.stack(taken)
