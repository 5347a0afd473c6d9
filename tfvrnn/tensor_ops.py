"""Tensor helpers of the pure-Keras core: time, borders, upsampling, normalisation."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree
from keras.backend import standardize_dtype

Tensor = Any  # a tensor of Keras' backend
Shape = tuple[Any, ...]  # lengths, None for an unknown one
GROUP_NORM_EPSILON = 1e-5


def to_float(frames: Tensor) -> Tensor:
    """Convert frames, uint8 or float in [0, 1], to float32 in [0, 1].

    Raises:
        ValueError: another dtype.
    """
    dtype = standardize_dtype(frames.dtype)
    if dtype == "uint8":
        return ops.cast(frames, "float32") / 255.0
    if "float" not in dtype:
        raise ValueError(f"frames must be uint8 or float in [0, 1]. Received: {dtype}")
    return ops.cast(frames, "float32")


def logit(x: Tensor) -> Tensor:
    """Compute log(x / (1 - x)), the inverse sigmoid, with `x` clipped 1e-6 away from 0 and 1."""
    x = ops.clip(x, 1e-6, 1.0 - 1e-6)
    return ops.log(x) - ops.log(1.0 - x)


def mirror(x: Tensor, margin: int, axis: int) -> Tensor:
    """Extend both ends of an axis by their mirror images: cba|abcd|dcb with a margin of 3.

    Equal to `ops.pad(mode="symmetric")`. On PyTorch, Keras 3.15 repeats the last value instead.
    """
    if not margin:
        return x
    first = ops.split(x, [margin], axis=axis)[0]
    last = ops.split(x, [x.shape[axis] - margin], axis=axis)[1]
    return ops.concatenate([ops.flip(first, axis), x, ops.flip(last, axis)], axis=axis)


def fold_time(x: Tensor) -> Tensor:
    """Fold time into the batch: `[B, T, ...]` to `[B * T, ...]`."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def unfold_time(x: Tensor, steps: int) -> Tensor:
    """Invert `fold_time`: `[B * T, ...]` to `[B, T, ...]` with `T = steps`."""
    return ops.reshape(x, (-1, steps, *x.shape[1:]))


def scan(step: Callable, state: Any, inputs: Any) -> tuple[Any, Any]:
    """Call `(state, output) = step(state, input)` for the frames of `inputs`, one after another.

    On JAX it is one compiled loop, as XLA takes minutes to compile a long program. On the
    other backends the loop is unrolled.

    Args:
        step: a function without side effects.
        state: first state, a nest of tensors.
        inputs: nest of `[B, T, ...]`; a step gets `[B, ...]` of each.

    Returns:
        (last state, outputs), the outputs `[B, T, ...]` in the nest that `step` returns.
    """
    steps = tree.flatten(inputs)[0].shape[1]
    if keras.backend.backend() == "jax":
        inputs = tree.map_structure(lambda x: ops.moveaxis(x, 1, 0), inputs)
        state, outputs = ops.scan(step, state, inputs)
        return state, tree.map_structure(lambda x: ops.moveaxis(x, 0, 1), outputs)
    outputs = []
    for time in range(steps):
        state, output = step(state, tree.map_structure(lambda x: x[:, time], inputs))  # noqa: B023
        outputs.append(output)
    return state, tree.map_structure(lambda *x: ops.stack(x, axis=1), *outputs)


def upsample_nearest(x: Tensor, resolution: int) -> Tensor:
    """Repeat every pixel so that `[N, r, r, C]` becomes `[N, resolution, resolution, C]`.

    It broadcasts, because one `ops.repeat` costs 25 ms of tracing on TensorFlow.
    """
    _, height, width, channels = x.shape
    if height == resolution:
        return x
    factor = resolution // height
    x = ops.reshape(x, (-1, height, 1, width, 1, channels))
    x = ops.broadcast_to(x, (ops.shape(x)[0], height, factor, width, factor, channels))
    return ops.reshape(x, (-1, resolution, resolution, channels))


def max_pool(x: Tensor, side: int) -> Tensor:
    """Take the maximum of each `side` by `side` square of `[N, H, W, C]`."""
    # Strides are given because Keras' JAX backend misreads the default for an integer size.
    return ops.max_pool(x, (side, side), (side, side), data_format="channels_last")


def group_norm(x: Tensor, scale: Tensor, offset: Tensor, groups: int) -> Tensor:
    """Normalise each group of channels of each frame.

        y = (x - mean) / sqrt(variance + 1e-5) * scale + offset

    Mean and variance are over the height, width and channels of one group of one frame, in
    float32. They are applied as one multiply-add `x * a + b`, with `a` and `b` per frame and
    channel. The gradient is written out as a multiply-add of `x` and `dy`. Automatic
    differentiation of the two-pass variance would read twice as many full-size tensors and trace
    three times as many operations.

    Source: Wu and He, "Group Normalization", 2018; deviations: none.

    Args:
        x: float `[N, H, W, C]`, time folded into N.
        scale: float `[C]`.
        offset: float `[C]`.
        groups: number of equal groups of channels.

    Returns:
        A tensor of the shape and dtype of `x`.
    """

    @ops.custom_gradient
    def normalise(x, scale, offset):
        x_NPGc = _in_groups(x, groups)
        mean, inverse = _group_statistics(x_NPGc)
        a = inverse * ops.reshape(scale, (groups, -1))
        b = ops.reshape(offset, (groups, -1)) - mean * a

        def gradient(*args, upstream=None):
            # Keras' PyTorch backend passes the upstream gradient by name.
            dy = args[-1] if upstream is None else upstream
            dx, *others = _group_norm_gradient(_in_groups(dy, groups), x_NPGc, mean, inverse, a)
            return _as(x, dx), *others

        return _as(x, x_NPGc * a + b), gradient

    # Copies, because TensorFlow's custom gradients take tensors, not variables.
    return normalise(x, ops.copy(ops.cast(scale, "float32")), ops.copy(ops.cast(offset, "float32")))


# From here on, maps are `[N, P, G, c]`: P pixels, G groups, c channels per group. Statistics are
# `[N, 1, G, c]` per channel and `[N, 1, G, 1]` per group, so that no operation needs a new shape.


def _in_groups(x, groups):
    """Reshape `[N, H, W, C]` to float32 `[N, P, G, c]`."""
    _, height, width, channels = ops.shape(x)  # a tensor for an unknown side
    return ops.reshape(ops.cast(x, "float32"), (-1, height * width, groups, channels // groups))


def _as(x, y_NPGc):
    """Invert `_in_groups`, to the shape and dtype of `x`."""
    return ops.cast(ops.reshape(y_NPGc, (-1, *ops.shape(x)[1:])), x.dtype)


def _group_statistics(x_NPGc):
    """Compute mean and inverse standard deviation, float32 `[N, 1, G, 1]`.

    The variance is computed in two passes: of each channel around its own mean, and of the
    channels' means around the group's mean. A difference of squares would cancel in a group of few
    values.
    """
    mean_N1Gc = ops.mean(x_NPGc, axis=1, keepdims=True)
    variance_N1Gc = ops.mean(ops.square(x_NPGc - mean_N1Gc), axis=1, keepdims=True)
    mean = ops.mean(mean_N1Gc, axis=3, keepdims=True)
    spread_N1Gc = variance_N1Gc + ops.square(mean_N1Gc - mean)
    return mean, ops.rsqrt(ops.mean(spread_N1Gc, axis=3, keepdims=True) + GROUP_NORM_EPSILON)


def _group_norm_gradient(dy, x, mean, inverse, a):
    """Return (dx `[N, P, G, c]`, d scale, d offset `[C]`). `a` is inverse * scale."""
    pixels = x.shape[1] or ops.cast(ops.shape(x)[1], "float32")
    sum_dy = ops.sum(dy, axis=1, keepdims=True)
    sum_dy_x = ops.sum(dy * x, axis=1, keepdims=True)
    sum_dy_normal = (sum_dy_x - mean * sum_dy) * inverse
    on_x = inverse * ops.mean(sum_dy_normal * a, axis=3, keepdims=True) / -pixels
    constant = ops.mean(sum_dy * a, axis=3, keepdims=True) / -pixels - mean * on_x
    # Equal within a group, but expanded per channel, to broadcast only over pixels, as `a` does.
    wide = ops.zeros_like(a)
    dx = dy * a + x * (on_x + wide) + (constant + wide)
    by_scale, by_offset = ops.sum(sum_dy_normal, axis=(0, 1)), ops.sum(sum_dy, axis=(0, 1))
    return dx, ops.reshape(by_scale, (-1,)), ops.reshape(by_offset, (-1,))
