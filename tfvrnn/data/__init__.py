"""Datasets: batches of videos as uint8 frames."""

from tfvrnn.data.pipeline import SPLITS, count_videos, first_videos, make_dataset, read

__all__ = ["SPLITS", "count_videos", "first_videos", "make_dataset", "read"]
