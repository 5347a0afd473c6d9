"""The datasets: videos as uint8 frames, batched."""

from tfvrnn.data.pipeline import SPLITS, first_videos, make_dataset, read

__all__ = ["SPLITS", "first_videos", "make_dataset", "read"]
