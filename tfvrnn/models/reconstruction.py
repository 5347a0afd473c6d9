"""The likelihood of frames under a model's predictions: the reconstruction term."""

import math
from typing import Any

import keras
from keras import ops

from tfvrnn.tensor_ops import Shape, Tensor

# The mean error that a scale starts at: about that of grey pictures.
FIRST_ERRORS = {"laplace": 0.25, "gaussian": 0.0625}
# Scales stop at a quarter of a grey level, below which the pixels' rounding would be fitted.
LEAST_SCALE = 1e-3
LEAST_ERRORS = {"laplace": LEAST_SCALE, "gaussian": LEAST_SCALE**2}
# The share of the old value that a scale keeps per step: it follows the last 20 batches.
KEPT_SHARE = 0.95


def _cross_entropy(x, mean):
    return -x * ops.log(mean) - (1.0 - x) * ops.log(1.0 - mean)


ERRORS = {
    "l1": lambda x, mean: ops.abs(x - mean),
    "l2": lambda x, mean: ops.square(x - mean),
    "bce": _cross_entropy,
    "laplace": lambda x, mean: ops.abs(x - mean),
    "gaussian": lambda x, mean: ops.square(x - mean),
}


@keras.saving.register_keras_serializable(package="tfvrnn")
class Likelihood(keras.layers.Layer):
    """The negative log-likelihood of frames, summed over time, pixels and channels.

        l1        |x - mean|
        l2        (x - mean)^2
        bce       -x log(mean) - (1 - x) log(1 - mean)
        laplace   |x - mean| / b + log(2 b)
        gaussian  ((x - mean)^2 / v + log(2 pi v)) / 2

    `laplace` and `gaussian` are calibrated: log densities in nats, with a scale per image channel.
    The scale is a weight, `error`: b, the mean absolute error, or v, the mean squared error. These
    give the highest likelihood. The weight is not trained: after each step it keeps 0.95 of its
    value and takes 0.05 of the batch's mean error (`followed`). No beta has to be tuned.

    Source: Rybkin, Daniilidis and Levine, "Simple and Effective VAE Training with Calibrated
    Decoders", 2021; deviations: the mean error of the last 20 batches or so, not of one batch, and
    one scale per channel.

    Args:
        kind: 'l1', 'l2', 'bce', 'laplace' or 'gaussian'.
        channels: int, image channels.

    Call arguments:
        frames: float32 `[B, T, H, W, C]` in [0, 1].
        logits: float32 `[B, T, H, W, C]`, of the predicted means.

    Returns:
        float32 `[B]`.
    """

    def __init__(self, kind: str, channels: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.kind = kind
        self.channels = channels
        self.error: Any = None  # a weight where calibrated
        if self.calibrated:
            self.error = self.add_weight(
                name="error",
                shape=(channels,),
                initializer=keras.initializers.Constant(FIRST_ERRORS[kind]),
                trainable=False,
            )
        self.build((None, None, None, None, channels))

    def build(self, frames_shape: Shape, logits_shape: Any = None) -> None:
        """Nothing: the weight is there from the first."""

    @property
    def calibrated(self) -> bool:
        """Whether the term is a log density, whose scale follows the data."""
        return self.kind in FIRST_ERRORS

    def call(self, frames: Tensor, logits: Tensor) -> Tensor:
        if self.kind == "bce":
            # From the logits, without the logarithm of a rounded-off sigmoid.
            return _summed(ops.softplus(logits) - frames * logits)
        errors = ERRORS[self.kind](frames, ops.sigmoid(logits))
        return _summed(
            log_density_loss(self.kind, errors, self.error) if self.calibrated else errors
        )

    def compute_output_shape(self, frames_shape: Shape, logits_shape: Any = None) -> Shape:
        return (frames_shape[0],)

    def mean_error(self, frames: Tensor, predictions: Tensor) -> Tensor:
        """The mean error per channel, float32 `[C]`: the best scale for these predictions."""
        return ops.mean(ERRORS[self.kind](frames, predictions), axis=(0, 1, 2, 3))

    def followed(self, error: Tensor) -> Tensor:
        """The value of the weight `error` after a batch whose mean error is `error`, `[C]`."""
        return KEPT_SHARE * self.error + (1.0 - KEPT_SHARE) * error

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "channels": self.channels}


def log_density_loss(kind: str, errors: Tensor, error: Tensor) -> Tensor:
    """The negative log density of each pixel, nats.

    Args:
        kind: 'laplace' or 'gaussian'.
        errors: float32 `[..., C]`, absolute or squared differences.
        error: float32 `[C]`, their mean in the model: b or v.
    """
    error = ops.maximum(error, LEAST_ERRORS[kind])
    if kind == "laplace":
        return errors / error + ops.log(2.0 * error)
    return 0.5 * (errors / error + ops.log(2.0 * math.pi * error))


def reconstruction_loss(kind: str, frames: Tensor, predictions: Tensor) -> Tensor:
    """Summed over time, pixels and channels: float32 `[B]`.

    For finished predictions, as of copying the last frame. A calibrated kind has the scale that is
    best for each video's predictions.

    Args:
        kind: one of those of `Likelihood`.
        frames, predictions: float32 `[B, T, H, W, C]` in [0, 1].
    """
    if kind == "bce":
        # Half a grey level away from 0 and 1, where the cross-entropy is infinite.
        predictions = ops.clip(predictions, 0.5 / 255, 1 - 0.5 / 255)
    errors = ERRORS[kind](frames, predictions)
    if kind in FIRST_ERRORS:
        errors = log_density_loss(kind, errors, ops.mean(errors, axis=(1, 2, 3), keepdims=True))
    return _summed(errors)


def bits_per_dimension(nats: float, dimensions: int) -> float:
    """Bits per pixel and channel of a negative log density, at 256 grey levels 1 / 255 apart.

        nats / (dimensions * log 2) + log2(255)

    Args:
        nats: of pixels in [0, 1], as the negative ELBO of a calibrated model.
        dimensions: pixels times channels that the nats are summed over.
    """
    return nats / (dimensions * math.log(2.0)) + math.log2(255.0)


def _summed(x):
    return ops.sum(x, axis=(1, 2, 3, 4))
