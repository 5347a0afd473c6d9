"""The datasets: videos as uint8 frames, batched."""

from tfvrnn.data.pipeline import SPLITS, make_dataset, read

__all__ = ["SPLITS", "make_dataset", "read"]
