"""Diagonal Gaussians with analytic KL divergence."""

import math
from typing import Any, NamedTuple

from keras import ops

Tensor = Any  # of the library that Keras computes with
MINIMUM_VARIANCE = 1e-6
LN_2 = math.log(2.0)  # softplus(0)


class DiagonalGaussian(NamedTuple):
    """A Gaussian with a diagonal covariance, one dimension per element.

        sample = mean + sqrt(variance) * noise
        KL(q || p) = (exp(r) - 1 - r + (mq - mp)^2 / vp) / 2,  r = log(vq / vp)

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, appendix B.

    Args:
        mean: float32, any shape.
        variance: float32, the shape of `mean`, positive.
    """

    mean: Tensor
    variance: Tensor

    @classmethod
    def from_raw(cls, raw: Tensor, initial_variance: float = LN_2) -> "DiagonalGaussian":
        """From `[..., 2 Z]` of means and raw variances.

            variance = softplus(raw + inverse_softplus(initial_variance)) + 1e-6

        In float32 whatever comes in: half precision cannot hold small variances.

        Args:
            raw: float `[..., 2 Z]`.
            initial_variance: the variance where raw is 0, as it almost is before training.
        """
        mean, raw_variance = ops.split(ops.cast(raw, "float32"), 2, axis=-1)
        offset = math.log(math.expm1(initial_variance))
        return cls(mean, ops.softplus(raw_variance + offset) + MINIMUM_VARIANCE)

    def sample(self, noise: Tensor) -> Tensor:
        """The reparametrised sample for standard normal `noise` of the shape of `mean`."""
        return self.mean + ops.sqrt(self.variance) * ops.cast(noise, self.mean.dtype)

    def kl_divergence(self, other: "DiagonalGaussian") -> Tensor:
        """KL(self || other) of every dimension by itself, in nats, of the shape of `mean`."""
        squared_distance = ops.square(self.mean - other.mean)
        # expm1 keeps the digits that vq / vp - 1 cancels where the two Gaussians almost agree.
        log_ratio = ops.log(self.variance) - ops.log(other.variance)
        return 0.5 * (ops.expm1(log_ratio) - log_ratio + squared_distance / other.variance)
