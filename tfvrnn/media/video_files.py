"""Decode video files as FFmpeg's own program shows them."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.stream import Disposition

from tfvrnn.media.errors import VideoError
from tfvrnn.media.images import on_black
from tfvrnn.media.wholeness import ends_prematurely

VIDEOS = (
    *(".264", ".265", ".3g2", ".3gp", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv"),
    *(".gif", ".h261", ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v"),
    *(".mj2", ".mjpeg", ".mjpg", ".mk3d", ".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg"),
    *(".mpv", ".mts", ".mxf", ".nut", ".obu", ".ogg", ".ogm", ".ogv", ".qt", ".rm", ".rmvb"),
    *(".tod", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m"),
)
STRETCHED = (Fraction(1, 8), Fraction(8))  # pixel aspect ratios beyond these are errors
DEFAULT = 5_000_000  # pixels added to the size of a stream marked as default


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Open a file, and find the stream that FFmpeg would take: the largest that is not a cover.

    A stream marked as default counts `DEFAULT` pixels more.
    """
    # PyAV gets an open file, because FFmpeg interprets some names: "a:b", "%03d", "*".
    with path.open("rb") as file, av.open(file, "r", metadata_errors="replace") as container:
        streams = [s for s in container.streams.video if s.codec_context]
        videos = [s for s in streams if not s.disposition & Disposition.attached_pic]
        if not videos:
            raise VideoError(f"{path} has no pictures" + " but a cover" * bool(streams))
        yield container, max(videos, key=_rank)


def _rank(stream: av.VideoStream) -> int:
    default = bool(stream.disposition & Disposition.default)
    return stream.width * stream.height + DEFAULT * default


def decoded(path: Path) -> Iterator[tuple[float | None, float | None, np.ndarray]]:
    """Yield (seconds, duration, frame) of each frame, upright, with square pixels, over black.

    Raises:
        VideoError: also at the end, if the file is cut off.
    """
    cut_off, count, matrix = ends_prematurely(path), 0, None
    try:
        with opened(path) as (container, stream):
            frames = (frame for packet in _packets(container, stream) for frame in packet.decode())
            for frame in frames:
                if not count:  # PyAV keeps a frame for long after its side data are read
                    matrix = frame.side_data.get("DISPLAYMATRIX")
                picture = _upright(_colours(_progressive(frame), stream), matrix)
                yield frame.time, _duration(frame, container), picture
                count += 1
    except FFmpegError as error:
        if not cut_off:
            raise VideoError(f"{path} cannot be read: {error.strerror}") from None
    except VideoError:
        if not cut_off:
            raise
    if cut_off:
        raise VideoError(f"{path} ended prematurely: {count} frames are there")


def _packets(container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """Yield the packets with a frame, and the last one, which has no time and flushes the decoder.

    Ogg holds an empty packet for a repeated frame. FFmpeg shows no frame there.
    """
    for packet in container.demux(stream):
        if packet.size or packet.pts is packet.dts is None:
            yield packet


def _duration(frame: av.VideoFrame, container: InputContainer) -> float | None:
    if container.format.name == "avi" or not frame.duration:  # AVI has none: FFmpeg makes them up
        return None
    return float(frame.duration * frame.time_base) if frame.time_base else None


def _progressive(frame: av.VideoFrame) -> av.VideoFrame:
    """Unmark an interlaced frame: FFmpeg's program places its colours as those of any other."""
    if not frame.interlaced_frame:
        return frame
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    graph.link_nodes(source, graph.add("setfield", "prog"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def _colours(frame: av.VideoFrame, stream: av.VideoStream) -> np.ndarray:
    ratio = stream.sample_aspect_ratio or Fraction(1)
    options = {}
    if ratio != 1 and STRETCHED[0] <= ratio <= STRETCHED[1]:
        options = {"width": max(1, int(frame.width * ratio)), "interpolation": "BICUBIC"}
    colours = frame.format
    if colours.name != "pal8" and not any(part.is_alpha for part in colours.components):
        return frame.to_ndarray(format="rgb24", **options)
    picture = frame.to_ndarray(format="rgba", **options)
    unused = stream.codec_context.name == "rawvideo" or colours.name == "pal8"
    if unused and not picture[..., 3].any():
        return picture[..., :3]  # of 32 bits per pixel or colour, 8 may be unused
    return on_black(picture)


def _upright(picture: np.ndarray, matrix) -> np.ndarray:
    """Turn and mirror a picture by a display matrix, to the nearest right angle."""
    if matrix is None:
        return picture
    # A pixel at (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).astype(float)
    if abs(b) + abs(c) > abs(a) + abs(d):
        picture, a, d = picture.swapaxes(0, 1), c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def average_rate(path: Path) -> float | None:
    """Return the frames per second; None if the file does not say."""
    try:
        with opened(path) as (container, stream):
            if container.format.name == "gif":  # FFmpeg's rate is that of the shortest frame
                lasts = [packet.duration or 0 for packet in container.demux(stream) if packet.size]
                seconds = float(sum(lasts) * (stream.time_base or 0))
                return len(lasts) / seconds if seconds else None
            rate = stream.average_rate or stream.base_rate
            return float(rate) if rate else None
    except FFmpegError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}") from None


def packet_times(path: Path) -> list[float]:
    """List when the frames are shown, in seconds, without decoding them."""
    try:
        with opened(path) as (container, stream):
            return [
                float(p.pts * p.time_base)
                for p in _packets(container, stream)
                if p.pts is not None and p.time_base is not None
            ]
    except FFmpegError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror}") from None
