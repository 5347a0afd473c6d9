"""Keras' backend, and TensorFlow's settings for the whole process."""

import logging
import os
from pathlib import Path

from tfvrnn.config import require


def choose(name: str) -> None:
    """Let Keras compute with backend `name`, whatever the environment or ~/.keras/keras.json say.

    Call it before Keras is imported.
    """
    os.environ["KERAS_BACKEND"] = name


def require_tensorflow() -> None:
    """Raise UserError unless Keras computes with TensorFlow.

    Layers and models run on every backend. Training runs, data, metrics and serving need
    TensorFlow.
    """
    import keras

    rule = "Keras must compute with TensorFlow: set KERAS_BACKEND=tensorflow before it is imported."
    require(keras.backend.backend() == "tensorflow", rule, keras.backend.backend())


# Parts of warnings that concern whoever calls TensorFlow, not the user of a program.
NOT_FOR_USERS = ("deprecated", "unsaved custom gradients", "tf.function retracing")


def quiet_tensorflow() -> None:
    """Hide TensorFlow's message about missing CUDA, most of its notes, and warnings NOT_FOR_USERS.

    If there is an NVIDIA device, warnings and errors stay, because they may concern it. Call this
    before TensorFlow is imported. TF_CPP_MIN_LOG_LEVEL takes precedence if set.
    """
    accelerated = any(Path("/dev", name).exists() for name in ("nvidiactl", "dxg"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1" if accelerated else "3")

    from absl import logging as absl_logging

    for logger in (logging.getLogger("tensorflow"), absl_logging.get_absl_logger()):
        logger.addFilter(_is_for_users)


def _is_for_users(record: logging.LogRecord) -> bool:
    text = str(record.msg)
    return record.levelno > logging.WARNING or not any(part in text for part in NOT_FOR_USERS)


def divide_cores() -> None:
    """On a CPU, let TensorFlow run two operations at a time with half the cores each.

    The graphs are about two operations wide, and most operations are small. On two cores, the
    quickstart trains twice as fast as with one operation at a time on both cores (352 against
    171 frames/s). Width 16 trains a tenth faster, and sampling takes a tenth less time. Call this
    before TensorFlow computes anything. TF_NUM_INTEROP_THREADS and TF_NUM_INTRAOP_THREADS take
    precedence if set.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))
