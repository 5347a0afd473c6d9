"""Datasets: batches of videos as uint8 frames."""

from tfvrnn.data.pipeline import SPLITS, first_videos, make_dataset, read

__all__ = ["SPLITS", "first_videos", "make_dataset", "read"]
