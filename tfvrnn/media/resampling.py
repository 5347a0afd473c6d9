"""Resample videos to another frame rate."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfvrnn.media.errors import VideoError
from tfvrnn.media.reading import existing, frame_times, shown_frames_of

SAME_RATE = 0.005  # 29.97 and 30 frames per second count as the same
JITTER = 0.25  # share of a frame's time by which a timestamp may be off


def frames_at(path: str | Path, rate: float) -> Iterator[np.ndarray]:
    """Yield the frames of a video file at a rate.

    If the file's rate is constant and within half a percent of n times `rate`, take every n-th
    frame. So 29.97 and 59.94 count as multiples of 30. Otherwise, take the frames shown k / rate
    seconds after the first, until the last one ends. A frame that begins up to a quarter
    of a frame later still counts, because timestamps are rounded.

    Args:
        path: path of a video file.
        rate: frames per second.

    Yields:
        uint8 `[H, W, 3]`.

    Raises:
        VideoError: no frame rate, or fewer frames per second; see also `timed_frames_of`.
    """
    path = existing(path)
    times = np.unique([] if path.is_dir() else frame_times(path))
    if len(times) < 2:
        raise VideoError(f"{path} has no frame rate")
    times -= times[0]
    own = (len(times) - 1) / times[-1]
    constant = np.all(np.abs(times * own - np.arange(len(times))) <= JITTER)
    most = own if constant else max(own, 1 / np.quantile(np.diff(times), 0.25, method="lower"))
    if rate > most * (1 + SAME_RATE):
        raise VideoError(f"{path} has {own:.5g} frames per second, fewer than {rate:g}")
    every = round(own / rate)
    if constant and every and abs(every * rate / own - 1) <= SAME_RATE:
        return itertools.islice((frame for _, _, frame in shown_frames_of(path)), 0, None, every)
    return _shown_at(path, rate, JITTER / max(most, rate), 1 / own)


def _shown_at(path: Path, rate: float, early: float, usual: float) -> Iterator[np.ndarray]:
    due, shown, now, end = 0, None, 0.0, 0.0
    for seconds, lasts, frame in _from_the_first(path):
        while shown is not None and due / rate + early < seconds:
            yield shown
            due += 1
        if seconds > now:  # a frame without a duration lasts as long as the one before
            usual = seconds - now
        shown, now = frame, seconds
        end = now + (lasts or usual)
    while shown is not None and due / rate + early < end:
        yield shown
        due += 1


def _from_the_first(path: Path) -> Iterator[tuple[float, float | None, np.ndarray]]:
    """Yield (seconds after the first frame, duration, frame) of each frame."""
    first = None
    for seconds, lasts, frame in shown_frames_of(path):
        if seconds is None:
            raise VideoError(f"{path} has frames without a time")
        first = seconds if first is None else first
        yield seconds - first, lasts, frame
