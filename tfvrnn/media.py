"""Pictures and moving pictures: strips, grids, GIFs."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image


def to_uint8(frames) -> np.ndarray:
    """Frames in [0, 1] as uint8, rounded; uint8 stays as it is."""
    frames = np.asarray(frames)
    if frames.dtype == np.uint8:
        return frames
    return np.round(np.clip(frames.astype(np.float32), 0.0, 1.0) * 255.0).astype(np.uint8)


def strip(videos: Sequence[np.ndarray], gap: int = 2) -> np.ndarray:
    """Videos as one picture: a row each, time from left to right.

    Args:
        videos: of equal shape `[T, H, W, C]`.
        gap: white pixels between frames.

    Returns:
        uint8 `[height, width, C]`.
    """
    videos_VTHWC = np.stack([to_uint8(video) for video in videos])
    padding = [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)]
    padded = np.pad(videos_VTHWC, padding, constant_values=255)
    rows, frames, height, width, channels = padded.shape
    picture = padded.transpose(0, 2, 1, 3, 4).reshape(rows * height, frames * width, channels)
    return picture[: rows * height - gap, : frames * width - gap]


def grid(videos: Sequence[Sequence[np.ndarray]], gap: int = 2) -> np.ndarray:
    """Videos as one video: a grid of rows and columns.

    Args:
        videos: rows of videos of equal shape `[T, H, W, C]`.
        gap: white pixels between videos.

    Returns:
        uint8 `[T, height, width, C]`.
    """
    videos_RVTHWC = np.stack([np.stack([to_uint8(video) for video in row]) for row in videos])
    padding = [(0, 0), (0, 0), (0, 0), (0, gap), (0, gap), (0, 0)]
    padded = np.pad(videos_RVTHWC, padding, constant_values=255)
    rows, columns, frames, height, width, channels = padded.shape
    video = padded.transpose(2, 0, 3, 1, 4, 5)
    video = video.reshape(frames, rows * height, columns * width, channels)
    return video[:, : rows * height - gap, : columns * width - gap]


def enlarge(frames: np.ndarray, factor: int) -> np.ndarray:
    """Repeat every pixel of `[..., H, W, C]` `factor` times in both directions."""
    return frames.repeat(factor, axis=-3).repeat(factor, axis=-2)


def to_gif(video: np.ndarray, frames_per_second: float = 5.0) -> bytes:
    """An endless animated GIF of `[T, H, W, C]` with 1 or 3 channels."""
    frames = to_uint8(video)
    images = [Image.fromarray(f[..., 0] if f.shape[-1] == 1 else f) for f in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / frames_per_second),
        loop=0,
        # Keeps frames that equal the one before them.
        optimize=False,
        disposal=1,
    )
    return buffer.getvalue()
