"""What every dataset gives to the pipeline."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf


class VideoSource(NamedTuple):
    """Videos, before anything costly is done to them.

    items: Dataset of (number of the video int64, what it is made of), in the order of the
        numbers; endless for training.
    make: (number, what it is made of) -> uint8 `[T, H, W, C]`; a function of these alone.
    """

    items: tf.data.Dataset
    make: Callable[[tf.Tensor, Any], tf.Tensor]
