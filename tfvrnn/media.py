"""Pictures and moving pictures: strips, grids, GIFs, video files in and out."""

import collections
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

IMAGES = (".png", ".jpg", ".jpeg")
GREEN, RED = (0, 160, 0), (210, 0, 0)


class VideoError(ValueError):
    """A video that cannot be read, and why."""


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
    """An endless animated GIF of `[T, H, W, C]` with 1 or 3 channels.

    Frames that follow and are equal may be stored as one that is shown as long as all of them.
    A GIF counts hundredths of a second: at 30 frames/s they are shown 0.03 or 0.04 s, in sum as
    long as they should. More than 50 frames/s many viewers show at 10.
    """
    frames = to_uint8(video)
    images = [Image.fromarray(f[..., 0] if f.shape[-1] == 1 else f) for f in frames]
    times = np.round(np.arange(len(images) + 1) * 100 / frames_per_second)
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=[int(10 * shown) for shown in np.diff(times)],
        loop=0,
        optimize=False,
        disposal=1,
    )
    return buffer.getvalue()


def timed_frames_of(path: str | Path) -> Iterator[tuple[float | None, np.ndarray]]:
    """(seconds, frame) of a video file (mp4, avi, mov, webm, gif, ...) or folder of images.

    One by one. Images are taken in the order of their names, numbers in them by their value, and
    have no times. Turned as their metadata say.

    Yields:
        float or None, uint8 `[H, W, 3]`.

    Raises:
        VideoError: nothing there, not a video, damaged, or frames of different sizes.
    """
    path, shape = Path(path).expanduser(), None
    try:
        _check_exists(path)
        for seconds, frame in _images(path) if path.is_dir() else _decoded(path):
            if frame.shape != (shape or frame.shape):
                raise VideoError(f"{path} has frames of different sizes")
            shape = frame.shape
            yield seconds, frame
    except OSError as error:  # also FFmpeg's own errors
        raise VideoError(f"{path} cannot be read: {error.strerror}") from None
    if shape is None:
        raise VideoError(f"{path} has no frames")


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise VideoError(f"no video {path}")
    if not (path.is_file() or path.is_dir()):  # a pipe would be waited for
        raise VideoError(f"{path} is neither a file nor a folder")


def frames_of(path: str | Path) -> Iterator[np.ndarray]:
    """The frames alone, uint8 `[H, W, 3]`; as `timed_frames_of`."""
    return (frame for _, frame in timed_frames_of(path))


def read_video(path: str | Path) -> np.ndarray:
    """All frames of a video, uint8 `[T, H, W, 3]`; arguments and errors as of `frames_of`."""
    return np.stack(list(frames_of(path)))


def read_clip(path: str | Path, count: int, start: int | None = None, stride: int = 1):
    """Some frames of a video, of any length: no more of it is held in memory.

    Args:
        path: as of `frames_of`.
        count: how many frames.
        start: number of the first, from 0; None: the last of them is the video's last.
        stride: from one frame to the next.

    Returns:
        uint8 `[count, H, W, 3]`.

    Raises:
        VideoError: also where the video is too short.
    """
    span = (count - 1) * stride + 1
    end = None if start is None else start + span
    window, seen = collections.deque(maxlen=span), 0
    for frame in itertools.islice(frames_of(path), end):
        window.append(frame)
        seen += 1
    if seen < (end or span):
        begin = "" if start is None else f" from frame {start}"
        raise VideoError(f"{path} has {seen} frames; needed are {span}{begin}")
    return np.stack(list(window)[::stride])


def _decoded(path: Path) -> Iterator[tuple[float | None, np.ndarray]]:
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise VideoError(f"{path} has no pictures")
            for frame in container.decode(video=0):
                turns = round(frame.rotation / 90)  # counterclockwise
                yield frame.time, np.rot90(frame.to_ndarray(format="rgb24"), turns)
    except av.FFmpegError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}") from None


def images_in(folder: Path) -> list[Path]:
    """The images of a folder by name: 2.png before 10.png."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES]
    # No pipes; links that lead nowhere stay, to be told of.
    found = [path for path in found if path.is_file() or not path.exists()]

    def key(path):
        texts_and_numbers = re.split(r"([0-9]+)", path.name)  # in turns
        return [int(x) if k % 2 else x for k, x in enumerate(texts_and_numbers)]

    return sorted(found, key=key)


def frame_rate(path: str | Path) -> float | None:
    """Frames per second of a video file; None for a folder of images, or where it does not say.

    Raises:
        VideoError: not a video.
    """
    path = Path(path).expanduser()
    _check_exists(path)
    if path.is_dir():
        return None
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            streams = container.streams.video
            return float(streams[0].average_rate) if streams and streams[0].average_rate else None
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}") from None


def _images(folder: Path) -> Iterator[tuple[None, np.ndarray]]:
    for path in images_in(folder):
        try:
            with Image.open(path) as image:
                yield None, _colours(ImageOps.exif_transpose(image))
        # Pillow's decoders raise all of these on damaged files.
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise VideoError(f"{path} is not an image") from None


def _colours(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off, not scale
        image = Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def fit(frames: np.ndarray, shape: Sequence[int], whole: bool = False) -> np.ndarray:
    """Frames as a model takes them: the centre square, averaged down to size, grey if need be.

    Args:
        frames: uint8 `[T, H, W, 3]`.
        shape: (height, width, channels) of the result, channels 1 or 3.
        whole: the whole picture, in a square with black borders, instead of its centre.
    """
    height, width, channels = shape
    if whole:
        longest = max(frames.shape[1:3])
        missing = [longest - side for side in frames.shape[1:3]]
        borders = [(n // 2, n - n // 2) for n in missing]
        frames = np.pad(frames, ((0, 0), *borders, (0, 0)))
    side = min(frames.shape[1:3])
    top, left = (frames.shape[1] - side) // 2, (frames.shape[2] - side) // 2
    fitted = []
    for frame in frames[:, top : top + side, left : left + side]:
        image = Image.fromarray(frame).convert("L" if channels == 1 else "RGB")
        image = image.resize((width, height), Image.Resampling.BOX if side >= height else None)
        fitted.append(np.asarray(image).reshape(height, width, channels))
    return np.stack(fitted)


def side_by_side(context: np.ndarray, futures: np.ndarray, scale: int) -> np.ndarray:
    """Futures of one context in a row, each after the context.

    Args:
        context: uint8 `[n_ctx, H, W, C]`; gets a green border.
        futures: uint8 `[S, horizon, H, W, C]`; get a red one.
        scale: side of a pixel.

    Returns:
        uint8 `[n_ctx + horizon, height, width, 3]`.
    """
    videos = [enlarge(np.concatenate([context, future]), scale) for future in futures]
    return grid([[bordered(video, len(context)) for video in videos]])


def bordered(video: np.ndarray, given: int, thickness: int = 2) -> np.ndarray:
    """A video whose frames say what they are: green borders are given, red ones predicted.

    Args:
        video: uint8 `[T, H, W, C]`.
        given: how many of its first frames are given.
        thickness: pixels.

    Returns:
        uint8 `[T, H + 2 thickness, W + 2 thickness, 3]`.
    """
    frames, height, width, _ = video.shape
    found = np.empty((frames, height + 2 * thickness, width + 2 * thickness, 3), np.uint8)
    found[:given], found[given:] = GREEN, RED
    found[:, thickness:-thickness, thickness:-thickness] = video
    return found


def write_video(path: str | Path, video: np.ndarray, frames_per_second: float) -> None:
    """Write `[T, H, W, C]`, uint8 or in [0, 1], as the path's ending says.

    .gif, .mp4 (H.264) or .webm (VP9).
    """
    path, video = Path(path), to_uint8(video)
    if path.suffix == ".gif":
        path.write_bytes(to_gif(video, frames_per_second))
        return
    # The colours are coded at half the resolution, so sides must be even.
    _, height, width, _ = video.shape
    video = np.pad(video, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    video = np.broadcast_to(video, (*video.shape[:3], 3))
    with av.open(str(path), "w") as container:
        codec = "libx264" if path.suffix == ".mp4" else "libvpx-vp9"
        stream = container.add_stream(codec, rate=Fraction(frames_per_second).limit_denominator())
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in video:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
