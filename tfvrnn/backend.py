"""The backend of Keras."""

import keras

from tfvrnn.config import require


def require_tensorflow() -> None:
    """Raise UserError where Keras computes with something else.

    Layers and models run on every backend; what draws, trains, measures or serves needs this one.
    """
    rule = "Keras must compute with TensorFlow: set KERAS_BACKEND=tensorflow before it is imported."
    require(keras.backend.backend() == "tensorflow", rule, keras.backend.backend())
