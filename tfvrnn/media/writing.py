"""Write videos: GIF, MP4, WebM."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import GifImagePlugin, Image, ImageChops

from tfvrnn.media.errors import VideoError
from tfvrnn.media.pictures import to_uint8

LONGEST_SIDE = {".gif": 65_535, ".mp4": 16_384, ".webm": 65_536}  # of x264 and VP9


def to_gif(video: np.ndarray, frames_per_second: float = 5.0) -> bytes:
    """Encode `[T, H, W, C]` with 1 or 3 channels as an endless animated GIF.

    Every frame is stored, even one equal to the frame before, so that all are read back. A GIF
    counts hundredths of a second. At 30 frames/s, a frame is shown for 0.03 or 0.04 s, and the
    whole takes as long as it should. Many viewers show a GIF of more than 50 frames/s at 10.
    """
    frames = to_uint8(video)
    grey = frames.shape[-1] == 1
    pictures = [Image.fromarray(frame[..., 0] if grey else frame) for frame in frames]
    times = np.round(np.arange(len(frames) + 1) * 100 / frames_per_second)
    parts, _ = GifImagePlugin.getheader(_with_palette(pictures[0]), info={"loop": 0})
    for before, picture, shown in zip([None, *pictures], pictures, np.diff(times)):
        box = _changed(before, picture)
        parts += GifImagePlugin.getdata(
            _with_palette(picture.crop(box)),
            box[:2],
            duration=int(10 * shown),
            disposal=1,  # the next frame is drawn over it
            include_color_table=not grey,  # greys use the header's table
        )
    return b"".join([*parts, b";"])


def _with_palette(picture: Image.Image) -> Image.Image:
    if picture.mode == "L":
        return picture
    return picture.convert("P", palette=Image.Palette.ADAPTIVE)


def _changed(before: Image.Image | None, picture: Image.Image) -> tuple[int, int, int, int]:
    """Find the box that differs from the picture before; one pixel if nothing differs."""
    if before is None:
        return (0, 0, *picture.size)
    return ImageChops.difference(before, picture).getbbox() or (0, 0, 1, 1)


def check_size(path: Path, height: int, width: int) -> None:
    """Raise VideoError unless a file of this ending can hold pictures of this size."""
    most = LONGEST_SIDE.get(path.suffix.lower())
    if most is None:
        raise VideoError(f"{path} must end in {', '.join(LONGEST_SIDE)}")
    if max(height, width) > most:
        raise VideoError(
            f"{path}: {width} x {height} pixels; a {path.suffix} has at most {most} a side"
        )


def write_video(
    path: str | Path, video: np.ndarray, frames_per_second: float, crf: int | None = None
) -> None:
    """Write a video in the format of the path's ending: .gif, .mp4 (H.264) or .webm (VP9).

    Args:
        path: path of the file.
        video: `[T, H, W, C]`, uint8 or in [0, 1].
        frames_per_second: frame rate of the file.
        crf: constant rate factor of .mp4, 0 (no loss) to 51; None: the codec's default.

    Raises:
        VideoError: another ending, sides too long for the format, no frames, or a rate that is not
            positive.
    """
    path, video = Path(path), to_uint8(video)
    if not len(video):
        raise VideoError(f"{path}: a video must have at least one frame. Received: none")
    if not 0 < frames_per_second < float("inf"):
        raise VideoError(f"{path}: the rate must be positive. Received: {frames_per_second}")
    ending = path.suffix.lower()
    check_size(path, *video.shape[1:3])
    if ending == ".gif":
        path.write_bytes(to_gif(video, frames_per_second))
        return
    # Colours are coded at half the resolution, so sides must be even.
    _, height, width, _ = video.shape
    video = np.pad(video, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    video = np.broadcast_to(video, (*video.shape[:3], 3))
    # "file:" is needed because FFmpeg takes the text before a colon for a protocol.
    with av.open(f"file:{path}", "w") as container:
        codec = "libx264" if ending == ".mp4" else "libvpx-vp9"
        rate = Fraction(frames_per_second).limit_denominator()
        options = {} if crf is None else {"crf": str(crf)}
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in video:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
