"""Write videos: GIF, MP4, WebM."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import GifImagePlugin, Image, ImageChops

from tfvrnn.media.pictures import to_uint8


def to_gif(video: np.ndarray, frames_per_second: float = 5.0) -> bytes:
    """An endless animated GIF of `[T, H, W, C]` with 1 or 3 channels.

    Every frame is stored, equal ones too, so it is read back with as many. A GIF counts
    hundredths of a second: at 30 frames/s they are shown 0.03 or 0.04 s, in sum as long as they
    should. Many viewers show more than 50 frames/s at 10.
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
            disposal=1,  # the next one is drawn over it
            include_color_table=not grey,  # the header's are the greys
        )
    return b"".join([*parts, b";"])


def _with_palette(picture: Image.Image) -> Image.Image:
    if picture.mode == "L":
        return picture
    return picture.convert("P", palette=Image.Palette.ADAPTIVE)


def _changed(before: Image.Image | None, picture: Image.Image) -> tuple[int, int, int, int]:
    """The box of what differs from the picture before; of one pixel, where nothing does."""
    if before is None:
        return (0, 0, *picture.size)
    return ImageChops.difference(before, picture).getbbox() or (0, 0, 1, 1)


def write_video(
    path: str | Path, video: np.ndarray, frames_per_second: float, crf: int | None = None
) -> None:
    """Write a video in the format of the path's ending: .gif, .mp4 (H.264) or .webm (VP9).

    Args:
        path: of the file.
        video: `[T, H, W, C]`, uint8 or in [0, 1].
        frames_per_second: of the file.
        crf: constant rate factor of .mp4, 0 (no loss) to 51; the codec's own by default.
    """
    path, video = Path(path), to_uint8(video)
    ending = path.suffix.lower()
    if ending == ".gif":
        path.write_bytes(to_gif(video, frames_per_second))
        return
    # The colours are coded at half the resolution, so sides must be even.
    _, height, width, _ = video.shape
    video = np.pad(video, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    video = np.broadcast_to(video, (*video.shape[:3], 3))
    # "file:" because FFmpeg takes what stands before a colon for a protocol.
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
