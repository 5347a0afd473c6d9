"""Training: optimizer, step, checkpoints, summaries, and the loop that ties them."""

from tfvrnn.training.loop import train

__all__ = ["train"]
