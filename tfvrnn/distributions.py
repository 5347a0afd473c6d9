"""Diagonal Gaussians with analytic KL divergence."""

import math
from typing import Any, NamedTuple

from keras import ops

Tensor = Any  # a tensor of Keras' backend
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
        """Make a Gaussian from means and raw variances, `[..., 2 Z]`.

            variance = softplus(raw + inverse_softplus(initial_variance)) + 1e-6

        Always computes in float32, because half precision cannot hold small variances.

        Args:
            raw: float `[..., 2 Z]`.
            initial_variance: the variance if raw is 0. Raw is almost 0 before training.
        """
        mean, raw_variance = ops.split(ops.cast(raw, "float32"), 2, axis=-1)
        # inverse_softplus(v) = log(exp(v) - 1).
        offset = math.log(math.expm1(initial_variance))
        return cls(mean, ops.softplus(raw_variance + offset) + MINIMUM_VARIANCE)

    def sample(self, noise: Tensor) -> Tensor:
        """Return the reparametrised sample for standard normal `noise`, shaped as `mean`."""
        # Kingma and Welling, section 2.4: z = mean + deviation * noise.
        return self.mean + ops.sqrt(self.variance) * ops.cast(noise, self.mean.dtype)

    def kl_divergence(self, other: "DiagonalGaussian") -> Tensor:
        """Compute KL(self || other) per dimension, in nats, shaped as `mean`."""
        # Castrejon et al., 2019, eq. 10, for q = self and p = other: its sum over t and l, and over
        # the dimensions of z_t^l, is the KL term of the ELBO.
        squared_distance = ops.square(self.mean - other.mean)
        # expm1 keeps the digits that vq / vp - 1 loses if the two Gaussians are almost equal.
        log_ratio = ops.log(self.variance) - ops.log(other.variance)
        return 0.5 * (ops.expm1(log_ratio) - log_ratio + squared_distance / other.variance)
