"""Training: optimizer, step, checkpoints, summaries, and the loop that ties them."""

from tfvrnn.training.loop import TrainingDiverged, train

__all__ = ["TrainingDiverged", "train"]
