"""Read videos: files and folders of images, frame by frame."""

import collections
import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfvrnn.media import images, video_files
from tfvrnn.media.errors import VideoError


def shown_frames_of(path: str | Path) -> Iterator[tuple[float | None, float | None, np.ndarray]]:
    """Yield (seconds, duration, frame) of each frame; otherwise like `timed_frames_of`."""
    path, shape = existing(path), None
    try:
        decoded = images.animation if images.is_animated(path) else video_files.decoded
        for seconds, lasts, frame in (images.images if path.is_dir() else decoded)(path):
            if frame.shape != (shape or frame.shape):
                raise VideoError(f"{path} has frames of different sizes")
            shape = frame.shape
            yield seconds, lasts, frame
    except OSError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}") from None
    if shape is None:
        raise VideoError(f"{path} has no frames")


def existing(path: str | Path) -> Path:
    """Check that a video exists; return its path, with "~" expanded to the home folder.

    Raises:
        VideoError: nothing there, or neither a file nor a folder.
    """
    path = Path(path)
    if not path.exists():
        with contextlib.suppress(RuntimeError):  # "~name", but no user has that name
            path = path.expanduser()
    if not path.exists():
        raise VideoError(f"no video {path}")
    if not (path.is_file() or path.is_dir()):  # reading a pipe would block
        raise VideoError(f"{path} is neither a file nor a folder")
    return path


def timed_frames_of(path: str | Path) -> Iterator[tuple[float | None, np.ndarray]]:
    """Yield (seconds, frame) of a video file (mp4, avi, mov, webm, gif, ...) or folder of images.

    Frames come one by one. Images are read in the order of their names, with numbers in them by
    value, and have no times. Frames are upright and have square pixels. Transparent frames are
    shown over black.

    Yields:
        float or None, uint8 `[H, W, 3]`.

    Raises:
        VideoError: nothing there, not a video, damaged, or frames of different sizes. After the
            last frame: the file is cut off.
    """
    return ((seconds, frame) for seconds, _, frame in shown_frames_of(path))


def frames_of(path: str | Path) -> Iterator[np.ndarray]:
    """Yield only the frames, uint8 `[H, W, 3]`; otherwise like `timed_frames_of`."""
    return (frame for _, _, frame in shown_frames_of(path))


def read_video(path: str | Path) -> np.ndarray:
    """Read all frames of a video, uint8 `[T, H, W, 3]`; for errors see `frames_of`."""
    return np.stack(list(frames_of(path)))


def read_clip(
    path: str | Path, count: int, start: int | None = None, stride: int = 1
) -> np.ndarray:
    """Read a clip of a video of any length; no other frames are held in memory.

    Args:
        path: see `timed_frames_of`.
        count: number of frames.
        start: number of the first frame, from 0; None: the clip is the end of the video.
        stride: temporal stride; take every n-th frame.

    Returns:
        uint8 `[count, H, W, 3]`.

    Raises:
        VideoError: also if the video is too short.
        ValueError: `start` is negative, or `count` or `stride` not positive.
    """
    for name, value, least in (("count", count, 1), ("start", start, 0), ("stride", stride, 1)):
        if value is not None and value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {value}")
    span = (count - 1) * stride + 1
    end = None if start is None else start + span
    window, seen = collections.deque(maxlen=span), 0
    for frame in itertools.islice(frames_of(path), end):
        window.append(frame)
        seen += 1
    if seen < (end or span):
        begin = "" if start is None else f" from frame {start}"
        raise VideoError(f"{path} has {seen} frame{'s' * (seen != 1)}; it needs {span}{begin}")
    return np.stack(list(window)[::stride])


def frame_rate(path: str | Path) -> float | None:
    """Return the frames per second of a video file; None for images, or if it does not say.

    Raises:
        VideoError: not a video.
    """
    path = existing(path)
    if path.is_dir():
        return None
    try:
        if not images.is_animated(path):
            return video_files.average_rate(path)
        lasts = [lasts for _, lasts, _ in images.animation(path)]
    except OSError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}") from None
    return len(lasts) / sum(lasts) if sum(lasts) else None


def frame_times(path: Path) -> list[float]:
    """List when the frames of a file are shown, in seconds; empty if it does not say."""
    try:
        if images.is_animated(path):
            return [seconds for seconds, _, _ in images.animation(path)]
        return video_files.packet_times(path)
    except OSError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}") from None
