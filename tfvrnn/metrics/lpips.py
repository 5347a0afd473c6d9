"""LPIPS, the learned perceptual distance of single frames."""

from functools import cache
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvrnn.metrics import weights
from tfvrnn.metrics.conversion import CONVOLUTIONS
from tfvrnn.metrics.frame import are_alike, check_range, compared_later

# Layers by their number in torchvision: (stride, padding) of a convolution with ReLU, or POOL.
# A tap is the map after the ReLU of a layer.
POOL = "pool"
TRUNKS = {
    "alex": dict(zip(CONVOLUTIONS["alex"], ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))))
    | dict.fromkeys((2, 5), POOL),
    "vgg": dict.fromkeys(CONVOLUTIONS["vgg"], (1, 1)) | dict.fromkeys((4, 9, 16, 23), POOL),
}
TAPS = {"alex": (0, 3, 6, 8, 10), "vgg": (2, 7, 14, 21, 28)}
POOL_SIDE = {"alex": 3, "vgg": 2}
LEAST_SIDE = {"alex": 31, "vgg": 16}  # smaller images would leave nothing for the last tap

# Normalisation of the trunks' input images, which are in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
EPSILON = 1e-10
AT_ONCE = 64  # frames; maps of more frames take gigabytes


class TooSmall(ValueError):
    """Images that are too small for a network."""


def check_frame_size(trunk: str, shape: tuple[int, ...]) -> None:
    """Raise TooSmall if images `[..., H, W, C]` would leave nothing for a trunk's last tap."""
    least = LEAST_SIDE[trunk]
    if min(shape[-3:-1]) < least:
        raise TooSmall(
            f"`frames` must be at least {least} pixels wide and high for the trunk {trunk}. "
            f"Received: shape {tuple(shape)}"
        )


class LPIPS(tf.Module):
    """Distance of deep features, weighted by a learned head.

        sum over taps of the mean over pixels of  w . (f / |f| - f' / |f'|)^2

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric", 2018; weights v0.1 of its authors' package `lpips`; deviations: none.

    Args:
        trunk: 'alex' or 'vgg'.
        arrays: the weights, as `weights.fetch('lpips_alex')` keeps them.

    Call arguments:
        frames: float `[..., H, W, 1 or 3]`, pixels in [0, 1]; grey is repeated to 3 channels.
        truth: of the same shape.

    Returns:
        float32 `[...]`, 0 for equal frames.

    Raises:
        ValueError: shapes that differ, sides that a graph does not know, pixels that are not float
            or, outside of a graph, not in [0, 1].
        TooSmall: a ValueError for images too small for the trunk (31 pixels for 'alex', 16 'vgg').
    """

    def __init__(self, trunk: str, arrays: dict[str, np.ndarray]):
        super().__init__()
        self.trunk, self.digest = trunk, weights.digest(arrays)
        self.layers = dict(sorted(TRUNKS[trunk].items()))
        self.kernels = {
            layer: (
                tf.constant(arrays[f"trunk/{layer}/kernel"]),
                tf.constant(arrays[f"trunk/{layer}/bias"]),
            )
            for layer, spec in self.layers.items()
            if spec != POOL
        }
        self.heads = [tf.constant(arrays[f"head/{tap}"]) for tap in range(len(TAPS[trunk]))]
        self._compiled = tf.function(self._distance, reduce_retracing=True, autograph=False)

    def __call__(self, frames: tf.Tensor | np.ndarray, truth: tf.Tensor | np.ndarray) -> tf.Tensor:
        frames, truth = tf.convert_to_tensor(frames), tf.convert_to_tensor(truth)
        self._check(frames, truth)
        frames, truth = compared_later(frames, truth)
        rows = tf.shape(frames)[:-3]
        # In a graph, their number may be unknown.
        number = 1 if None in frames.shape[:-3] else int(np.prod(frames.shape[:-3]))
        if not number:
            return tf.zeros(rows)
        at_once = max(k for k in range(1, min(number, AT_ONCE) + 1) if number % k == 0)
        portions = [tf.reshape(x, (-1, at_once, *x.shape[-3:])) for x in (frames, truth)]
        distances = tf.map_fn(
            lambda pair: self._compiled(*pair), portions, fn_output_signature=tf.float32
        )
        return tf.reshape(distances, rows)

    def _check(self, frames, truth):
        if not are_alike(frames, truth) or frames.shape[-1] not in (1, 3):
            raise ValueError(
                f"`frames` and `truth` must be of one shape [..., H, W, 1 or 3]. "
                f"Received: {frames.shape} and {truth.shape}"
            )
        if None in (*frames.shape[-3:], *truth.shape[-3:]):
            raise ValueError(
                f"the sides of `frames` and `truth` must be known, see tf.ensure_shape. "
                f"Received: {frames.shape} and {truth.shape}"
            )
        if not (frames.dtype.is_floating and truth.dtype.is_floating):
            raise ValueError(
                f"`frames` and `truth` must be float in [0, 1]. "
                f"Received: {frames.dtype.name} and {truth.dtype.name}"
            )
        check_frame_size(self.trunk, frames.shape)
        check_range(frames)
        check_range(truth)

    def _distance(self, frames, truth):
        total = 0.0
        for head, ours, theirs in zip(self.heads, self._taps(frames), self._taps(truth)):
            squares = tf.square(_unit_length(ours) - _unit_length(theirs))
            total += tf.reduce_mean(tf.linalg.matvec(squares, head), axis=(1, 2))
        return total

    def _taps(self, frames):
        x = 2.0 * tf.cast(frames, tf.float32) - 1.0
        x = (x - tf.constant(SHIFT)) / tf.constant(SCALE)
        for layer, spec in self.layers.items():
            if spec == POOL:
                x = tf.nn.max_pool2d(x, POOL_SIDE[self.trunk], 2, "VALID")
                continue
            stride, padding = spec
            paddings = ((0, 0), (padding, padding), (padding, padding), (0, 0))
            kernel, bias = self.kernels[layer]
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, stride, paddings) + bias)
            if layer in TAPS[self.trunk]:
                yield x


def _unit_length(x):
    return x / (tf.sqrt(tf.reduce_sum(tf.square(x), axis=-1, keepdims=True)) + EPSILON)


@cache
def perceptual_network(
    trunk: str = "alex",
    cache_dir: str | Path | None = None,
    trunk_file: str | Path | None = None,
) -> LPIPS:
    """Return the network with its weights, fetched at first use.

    Args:
        trunk: 'alex' or 'vgg'.
        cache_dir: see `weights.fetch`.
        trunk_file: the `source` of `weights.fetch`.

    Raises:
        ValueError: another trunk.
        WeightsUnavailable: the weights cannot be obtained.
    """
    if trunk not in TRUNKS:
        raise ValueError(f"`trunk` must be one of {', '.join(TRUNKS)}. Received: {trunk!r}")
    return LPIPS(trunk, weights.read(weights.fetch(f"lpips_{trunk}", cache_dir, trunk_file)))


def lpips(
    frames: tf.Tensor | np.ndarray, truth: tf.Tensor | np.ndarray, network: LPIPS | None = None
) -> tf.Tensor:
    """Compute `LPIPS` of each frame. The default network is AlexNet's, fetched at first use."""
    return (network or perceptual_network())(frames, truth)
