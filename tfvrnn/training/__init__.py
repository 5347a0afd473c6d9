"""Training: optimizer, step, checkpoints, summaries, and the loop that joins them."""

from tfvrnn.training.loop import TrainingDiverged, train

__all__ = ["TrainingDiverged", "train"]
