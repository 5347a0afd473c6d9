"""Fréchet and kernel distances between sets of features, computed by TF-GAN."""

import importlib
import importlib.util
import sys
import types
from functools import cache

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

TFGAN = "tensorflow_gan"
CLASSIFIER_METRICS = f"{TFGAN}.python.eval.classifier_metrics"
LEAST_FOR_INFINITY = 4
PACKAGES = (TFGAN, f"{TFGAN}.python", f"{TFGAN}.python.eval")


@cache
def classifier_metrics() -> types.ModuleType:
    """Import TF-GAN's module of classifier metrics.

    TF-GAN 2.1 does not import under TensorFlow 2.16 and later, because it uses tf.estimator
    (tensorflow/gan#55). Its metrics do not need that. In that case this function imports them under
    empty stand-ins for their parent packages, and removes the stand-ins afterwards. A TF-GAN that
    imports is used directly.
    """
    before = {name for name in sys.modules if _is_tfgan(name)}
    try:
        return importlib.import_module(CLASSIFIER_METRICS)
    except (ImportError, AttributeError):
        _forget(before)
    try:
        for package in PACKAGES:
            sys.modules[package] = _hollow(package)
        return importlib.import_module(CLASSIFIER_METRICS)
    finally:
        _forget(before)


def _is_tfgan(module: str) -> bool:
    return module.split(".")[0] == TFGAN


def _forget(kept: set[str]) -> None:
    for name in [name for name in sys.modules if _is_tfgan(name) and name not in kept]:
        del sys.modules[name]


def _hollow(package: str) -> types.ModuleType:
    """Make a package that finds its modules without running its own code."""
    root = importlib.util.find_spec(TFGAN) if package == TFGAN else None
    if root and root.submodule_search_locations:
        path = list(root.submodule_search_locations)
    else:
        parent, _, name = package.rpartition(".")
        path = [f"{folder}/{name}" for folder in sys.modules[parent].__path__]
    module = types.ModuleType(package)
    module.__path__ = path
    return module


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """Compute the Fréchet distance between Gaussians fitted to two sets of features.

        |m - m'|^2 + Tr(S + S' - 2 (S S')^(1/2)),  unbiased covariances, float64

    Features whose deviation is below 1 or above 1e6 are first scaled to one of 100, because TF-GAN
    takes no root of singular values below 1e-10.

    Source: Heusel et al., 2017; TF-GAN, `frechet_classifier_distance_from_activations`.

    Args:
        real: float `[N, D]`.
        generated: float `[M, D]`.

    Raises:
        ValueError: fewer than two features, different lengths, values that are not finite.
    """
    real, generated = check_pair(real, generated)
    unit = _unit(real.var(axis=0), generated.var(axis=0))
    distance = classifier_metrics().frechet_classifier_distance_from_activations
    found = float(distance(tf.constant(real / unit), tf.constant(generated / unit))) * unit**2
    return max(0.0, found)  # rounding may be below 0


def _unit(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the number to divide features by, given the variances of both sets."""
    deviation = float(np.sqrt(max(0.0, np.mean([real, generated]))))  # rounding may be below 0
    return 1.0 if deviation == 0 or 1 <= deviation <= 1e6 else deviation / 100


def kernel_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """Compute the squared maximum mean discrepancy, unbiased, over all pairs (one block).

    The kernel is polynomial, (x.y / D + 1)^3.

    Source: Bińkowski et al., 2018; TF-GAN, `kernel_classifier_distance_from_activations`.

    Args:
        real: float `[N, D]`.
        generated: float `[M, D]`.

    Raises:
        ValueError: same as `frechet_distance`.
    """
    real, generated = check_pair(real, generated)
    distance = classifier_metrics().kernel_classifier_distance_from_activations
    block = max(len(real), len(generated))
    return float(distance(tf.constant(real), tf.constant(generated), max_block_size=block))


def frechet_infinity(
    real: ArrayLike, generated: ArrayLike, points: int = 10, seed: int = 0
) -> float:
    """Extrapolate the Fréchet distance to infinitely many features.

    A line in 1/N is fitted to the distances of random subsets of both sets. Its value at 1/N = 0 is
    the result. Both subsets have the same size, from half of the smaller set to all of it. The bias
    is linear in 1/N only if N is well above the number of dimensions.

    Source: Chong and Forsyth, "Effectively unbiased FID and Inception Score", 2020. There, only the
    generated set grows.

    Args:
        real, generated: same as for `frechet_distance`, with at least 4 features each.
        points: number of sizes on the line, at least 2.
        seed: of the subsets.

    Raises:
        ValueError: same as `frechet_distance`, fewer than 4 features, or fewer than 2 points.
    """
    if points < 2:
        raise ValueError(f"`points` must be at least 2. Received: {points}")
    real, generated = (
        _checked(features, name, LEAST_FOR_INFINITY)
        for features, name in ((real, "real"), (generated, "generated"))
    )
    largest = min(len(real), len(generated))
    sizes = np.unique(np.linspace(largest / 2, largest, points).round().astype(int))
    rng = np.random.default_rng(seed)
    distances = [
        frechet_distance(
            rng.permutation(real)[:size],
            rng.permutation(generated)[:size],
        )
        for size in sizes
    ]
    _, at_infinity = np.polyfit(1.0 / sizes, distances, 1)
    return float(at_infinity)


class FeatureStatistics:
    """Mean and covariance of any number of features, in float64 and constant memory.

    Args:
        dimensions: D.
    """

    def __init__(self, dimensions: int):
        self.count = 0
        self.sum = np.zeros(dimensions)
        self.outer = np.zeros((dimensions, dimensions))

    def update(self, features: ArrayLike) -> None:
        """Add features `[N, D]`."""
        features = _checked(features, "features", 1, len(self.sum))
        self.count += len(features)
        self.sum += features.sum(axis=0)
        self.outer += features.T @ features

    @property
    def mean(self) -> np.ndarray:
        return self.sum / self.count

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance `[D, D]`."""
        return (self.outer - np.outer(self.sum, self.mean)) / (self.count - 1)

    def frechet_distance(self, other: "FeatureStatistics") -> float:
        """Same as the function `frechet_distance`, of all features that both have received.

        Raises:
            ValueError: fewer than two features, or different lengths.
        """
        if len(self.sum) != len(other.sum):
            lengths = f"{len(self.sum)} and {len(other.sum)}"
            raise ValueError(f"both must have features of one length. Received: {lengths}")
        if min(self.count, other.count) < 2:
            raise ValueError(
                f"two features at least are needed. Received: {self.count} and {other.count}"
            )
        ours, theirs = self.covariance, other.covariance
        unit = _unit(np.diag(ours), np.diag(theirs))
        sides = tf.constant(ours / unit**2), tf.constant(theirs / unit**2)
        root = float(classifier_metrics().trace_sqrt_product(*sides)) * unit**2
        means = np.sum(np.square(self.mean - other.mean))
        return max(0.0, float(np.trace(ours + theirs) - 2.0 * root + means))


def check_pair(real: ArrayLike, generated: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Convert two sets of features to finite float64 `[N, D]`, or raise ValueError."""
    real = _checked(real, "real")
    return real, _checked(generated, "generated", dimensions=real.shape[-1])


def _checked(features, name, least=2, dimensions=None) -> np.ndarray:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or dimensions not in (None, features.shape[-1]):
        raise ValueError(f"`{name}` must be [N, {dimensions or 'D'}]. Received: {features.shape}")
    if len(features) < least:
        raise ValueError(f"`{name}` must hold at least {least} features. Received: {len(features)}")
    if not np.isfinite(features).all():
        raise ValueError(f"`{name}` must be finite. Received: {features}")
    return features
