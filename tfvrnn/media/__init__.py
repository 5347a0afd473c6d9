"""Pictures and videos: strips, grids, GIFs, reading and writing of video files."""

from tfvrnn.media.errors import VideoError
from tfvrnn.media.images import IMAGES, images_in, is_animated
from tfvrnn.media.pictures import (
    GREEN,
    RED,
    bordered,
    enlarge,
    fit,
    grid,
    resized,
    side_by_side,
    strip,
    to_float,
    to_uint8,
)
from tfvrnn.media.reading import frame_rate, frames_of, read_clip, read_video, timed_frames_of
from tfvrnn.media.resampling import frames_at
from tfvrnn.media.video_files import VIDEOS
from tfvrnn.media.wholeness import ends_prematurely
from tfvrnn.media.writing import check_size, to_gif, write_video

__all__ = [
    "GREEN",
    "IMAGES",
    "RED",
    "VIDEOS",
    "VideoError",
    "bordered",
    "check_size",
    "ends_prematurely",
    "enlarge",
    "fit",
    "frame_rate",
    "frames_at",
    "frames_of",
    "grid",
    "images_in",
    "is_animated",
    "read_clip",
    "read_video",
    "resized",
    "side_by_side",
    "strip",
    "timed_frames_of",
    "to_float",
    "to_gif",
    "to_uint8",
    "write_video",
]
