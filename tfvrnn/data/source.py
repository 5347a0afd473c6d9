"""The interface between every dataset and the pipeline."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf


class VideoSource(NamedTuple):
    """Videos, before anything costly is done to them.

    items: Dataset of (number of the video int64, item that the video is made from), in the order
        of the numbers; endless for training.
    make: (number, item) -> uint8 `[T, H, W, C]`; a function of these only.
    """

    items: tf.data.Dataset
    make: Callable[[tf.Tensor, Any], tf.Tensor]
