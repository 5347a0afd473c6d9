"""Seeded futures of any model, on any backend of Keras; of TensorFlow, also seeded noise.

`training_noise`, `row_noise` and `rollout_frames` compute with TensorFlow only.
"""

from tfvrnn.sampling.futures import predict_videos, sample_videos

IN_TENSORFLOW = ("rollout_frames", "row_noise", "training_noise")

__all__ = ["predict_videos", "sample_videos", *IN_TENSORFLOW]


def __getattr__(name):
    # Imported when they are asked for: models, which import this package, do without TensorFlow.
    if name not in IN_TENSORFLOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfvrnn.sampling import tensorflow_loop

    return getattr(tensorflow_loop, name)
