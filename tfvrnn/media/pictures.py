"""Pictures of videos: strips, grids, borders, and frames at the size of a model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from PIL import Image

GREEN, RED = (0, 160, 0), (210, 0, 0)


def to_uint8(frames: ArrayLike) -> np.ndarray:
    """Convert frames in [0, 1] to uint8 by rounding; uint8 frames stay as they are."""
    frames = np.asarray(frames)
    if frames.dtype == np.uint8:
        return frames
    return np.round(np.clip(frames.astype(np.float32), 0.0, 1.0) * 255.0).astype(np.uint8)


def to_float(frames: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
    """Scale uint8 frames to [0, 1]; the NumPy version of `tensor_ops.to_float`."""
    return frames.astype(dtype) / 255.0


def strip(videos: Sequence[np.ndarray], gap: int = 2) -> np.ndarray:
    """Arrange videos in one picture: one row per video, time from left to right.

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
    """Arrange videos in one video: a grid of rows and columns.

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


def bordered(video: np.ndarray, given: int, thickness: int = 2) -> np.ndarray:
    """Draw a green border around given frames, and a red one around predicted frames.

    Args:
        video: uint8 `[T, H, W, C]`.
        given: number of first frames that are given.
        thickness: pixels.

    Returns:
        uint8 `[T, H + 2 thickness, W + 2 thickness, 3]`.
    """
    frames, height, width, _ = video.shape
    found = np.empty((frames, height + 2 * thickness, width + 2 * thickness, 3), np.uint8)
    found[:given], found[given:] = GREEN, RED
    found[:, thickness : thickness + height, thickness : thickness + width] = video
    return found


def side_by_side(context: np.ndarray, futures: np.ndarray, scale: int) -> np.ndarray:
    """Show futures of one context side by side, each after the context.

    Args:
        context: uint8 `[n_ctx, H, W, C]`; gets a green border.
        futures: uint8 `[S, horizon, H, W, C]`; get a red border.
        scale: enlargement factor.

    Returns:
        uint8 `[n_ctx + horizon, height, width, 3]`.
    """
    videos = [enlarge(np.concatenate([context, future]), scale) for future in futures]
    return grid([[bordered(video, len(context)) for video in videos]])


def fit(frames: np.ndarray, shape: Sequence[int], whole: bool = False) -> np.ndarray:
    """Fit frames to a model: take the centre square, resize it, and make it grey if needed.

    Args:
        frames: uint8 `[T, H, W, 3]`.
        shape: (height, width, channels) of the result, channels 1 or 3.
        whole: take the whole picture, in a square with black borders, instead of its centre.
    """
    if whole:
        longest = max(frames.shape[1:3])
        missing = [longest - side for side in frames.shape[1:3]]
        borders = [(n // 2, n - n // 2) for n in missing]
        frames = np.pad(frames, ((0, 0), *borders, (0, 0)))
    side = min(frames.shape[1:3])
    top, left = (frames.shape[1] - side) // 2, (frames.shape[2] - side) // 2
    squares = frames[:, top : top + side, left : left + side]
    return np.stack([resized(square, shape) for square in squares])


def resized(frame: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Average a frame down to size, or enlarge it bicubically, and make it grey if needed.

    Args:
        frame: uint8 `[H, W, 3]`.
        shape: (height, width, channels) of the result, channels 1 or 3.
    """
    height, width, channels = shape
    image = Image.fromarray(frame).convert("L" if channels == 1 else "RGB")
    averaged = frame.shape[0] >= height
    image = image.resize((width, height), Image.Resampling.BOX if averaged else None)
    return np.asarray(image).reshape(height, width, channels)
