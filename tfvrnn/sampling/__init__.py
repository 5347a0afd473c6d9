"""Seeded futures of any model on any Keras backend, and seeded noise on TensorFlow.

`training_noise`, `training_choices`, `row_noise` and `rollout_frames` need TensorFlow.
"""

from typing import TYPE_CHECKING

from tfvrnn.sampling.futures import predict_videos, sample_videos

if TYPE_CHECKING:
    from tfvrnn.sampling.tensorflow_loop import (
        rollout_frames,
        row_noise,
        training_choices,
        training_noise,
    )

IN_TENSORFLOW = ("rollout_frames", "row_noise", "training_choices", "training_noise")

__all__ = [
    "predict_videos",
    "rollout_frames",
    "row_noise",
    "sample_videos",
    "training_choices",
    "training_noise",
]


def __getattr__(name):
    # Imported at first use: models import this package, and must not import TensorFlow.
    if name not in IN_TENSORFLOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfvrnn.sampling import tensorflow_loop

    return getattr(tensorflow_loop, name)
