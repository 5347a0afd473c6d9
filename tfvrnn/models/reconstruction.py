"""The reconstruction term: the likelihood of frames under a model's predictions."""

import math
from typing import Any

import keras
from keras import ops

from tfvrnn.config import require
from tfvrnn.tensor_ops import Shape, Tensor

# The mean error at which a scale starts: about that of grey pictures.
FIRST_ERRORS = {"laplace": 0.25, "gaussian": 0.0625}
# Scales stop at a quarter of a grey level. Smaller scales would fit the pixels' rounding.
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
    value and takes 0.05 of the batch's mean error (`followed`). Beta need not correct for
    the data's scale.

    Source: Rybkin, Daniilidis and Levine, "Simple and Effective VAE Training with Calibrated
    Decoders", 2021; deviations: the mean error of the last 20 batches or so, not of one batch, and
    one scale per channel.

    Args:
        kind: 'l1', 'l2', 'bce', 'laplace' or 'gaussian'.
        channels: int, image channels.
        dtype: float32 by default under every policy, as sums over pixels need it.

    Call arguments:
        frames: float32 `[B, T, H, W, C]` in [0, 1].
        logits: float32 `[B, T, H, W, C]`, of the predicted means.

    Returns:
        float32 `[B]`.
    """

    def __init__(self, kind: str, channels: int, dtype: Any = "float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        require(kind in ERRORS, f"`reconstruction` must be one of {', '.join(ERRORS)}.", repr(kind))
        self.kind = kind
        self.channels = channels
        self.error: Any = None  # a weight if calibrated
        if self.calibrated:
            self.error = self.add_weight(
                name="error",
                shape=(channels,),
                initializer=keras.initializers.Constant(FIRST_ERRORS[kind]),
                trainable=False,
            )
        self.build((None, None, None, None, channels))

    def build(self, frames_shape: Shape, logits_shape: Any = None) -> None:
        """Do nothing: the constructor makes the weight."""

    @property
    def calibrated(self) -> bool:
        """Whether the term is a log density with a scale that follows the data."""
        return self.kind in FIRST_ERRORS

    def call(self, frames: Tensor, logits: Tensor) -> Tensor:
        if self.kind == "bce":
            # Computed from the logits, to avoid the logarithm of a rounded sigmoid.
            return _summed(ops.softplus(logits) - frames * logits)
        errors = ERRORS[self.kind](frames, ops.sigmoid(logits))
        return _summed(
            log_density_loss(self.kind, errors, self.error) if self.calibrated else errors
        )

    def compute_output_shape(self, frames_shape: Shape, logits_shape: Any = None) -> Shape:
        return (frames_shape[0],)

    def mean_error(self, frames: Tensor, predictions: Tensor) -> Tensor:
        """Compute the mean error per channel, float32 `[C]`, the best scale for predictions."""
        return ops.mean(ERRORS[self.kind](frames, predictions), axis=(0, 1, 2, 3))

    def followed(self, error: Tensor) -> Tensor:
        """Return the next value of the weight, after a batch of mean error `error`, `[C]`."""
        return KEPT_SHARE * self.error + (1.0 - KEPT_SHARE) * error

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "channels": self.channels}


def log_density_loss(kind: str, errors: Tensor, error: Tensor) -> Tensor:
    """Compute the negative log density of each pixel, in nats.

    Args:
        kind: 'laplace' or 'gaussian'.
        errors: float32 `[..., C]`, absolute or squared differences.
        error: float32 `[C]`, the mean error, which is the scale b or v.
    """
    error = ops.maximum(error, LEAST_ERRORS[kind])
    if kind == "laplace":
        return errors / error + ops.log(2.0 * error)
    return 0.5 * (errors / error + ops.log(2.0 * math.pi * error))


def reconstruction_loss(kind: str, frames: Tensor, predictions: Tensor) -> Tensor:
    """Compute the reconstruction term of finished predictions, float32 `[B]`.

    It is summed over time, pixels and channels. Finished predictions are, for example, copies of
    the last frame. A calibrated kind takes the scale that is best for each video's predictions.

    Args:
        kind: same as for `Likelihood`.
        frames, predictions: float32 `[B, T, H, W, C]` in [0, 1].
    """
    require(kind in ERRORS, f"`kind` must be one of {', '.join(ERRORS)}.", repr(kind))
    if kind == "bce":
        # Keep half a grey level away from 0 and 1, where the cross-entropy is infinite.
        predictions = ops.clip(predictions, 0.5 / 255, 1 - 0.5 / 255)
    errors = ERRORS[kind](frames, predictions)
    if kind in FIRST_ERRORS:
        errors = log_density_loss(kind, errors, ops.mean(errors, axis=(1, 2, 3), keepdims=True))
    return _summed(errors)


def bits_per_dimension(nats: float, dimensions: int) -> float:
    """Convert a negative log density to bits per dimension, at 256 grey levels 1 / 255 apart.

        nats / (dimensions * log 2) + log2(255)

    Args:
        nats: of pixels in [0, 1], such as the negative ELBO of a calibrated model.
        dimensions: pixels times channels over which the nats are summed.
    """
    return nats / (dimensions * math.log(2.0)) + math.log2(255.0)


def _summed(x):
    return ops.sum(x, axis=(1, 2, 3, 4))
