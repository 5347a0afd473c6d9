"""Tensor helpers of the pure-Keras core: folded time, upsampling, group normalisation."""

from typing import Any

from keras import ops
from keras.backend import standardize_dtype

Tensor = Any  # of the library that Keras computes with
Shape = tuple[Any, ...]  # of lengths, None where one is not known
GROUP_NORM_EPSILON = 1e-5


def to_float(frames: Tensor) -> Tensor:
    """Frames as float32 in [0, 1], from uint8 or float in [0, 1].

    Raises:
        ValueError: another dtype.
    """
    dtype = standardize_dtype(frames.dtype)
    if dtype == "uint8":
        return ops.cast(frames, "float32") / 255.0
    if "float" not in dtype:
        raise ValueError(f"frames must be uint8 or float in [0, 1]. Received: {dtype}")
    return ops.cast(frames, "float32")


def fold_time(x: Tensor) -> Tensor:
    """Fold time into the batch: `[B, T, ...]` to `[B * T, ...]`."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def unfold_time(x: Tensor, steps: int) -> Tensor:
    """The inverse of `fold_time`: `[B * T, ...]` to `[B, T, ...]` with `T = steps`."""
    return ops.reshape(x, (-1, steps, *x.shape[1:]))


def upsample_nearest(x: Tensor, resolution: int) -> Tensor:
    """Repeat every pixel so that `[N, r, r, C]` becomes `[N, resolution, resolution, C]`.

    By broadcasting: one `ops.repeat` costs 25 ms of tracing on TensorFlow.
    """
    _, height, width, channels = x.shape
    if height == resolution:
        return x
    factor = resolution // height
    x = ops.reshape(x, (-1, height, 1, width, 1, channels))
    x = ops.broadcast_to(x, (ops.shape(x)[0], height, factor, width, factor, channels))
    return ops.reshape(x, (-1, resolution, resolution, channels))


def max_pool(x: Tensor, side: int) -> Tensor:
    """The largest value of every `side` by `side` square: `[N, H, W, C]` to a `side`th of it."""
    # Strides given, as Keras' JAX backend takes the default of an integer size amiss.
    return ops.max_pool(x, (side, side), (side, side), data_format="channels_last")


def group_norm(x: Tensor, scale: Tensor, offset: Tensor, groups: int) -> Tensor:
    """Group normalisation of every frame by itself.

        y = (x - mean) / sqrt(variance + 1e-5) * scale + offset

    with mean and variance over the height, width and channels of one group of one frame, in
    float32. Applied as one multiply-add `x * a + b`, `a` and `b` of shape `[N, C]`. The gradient
    is written out, as a multiply-add of `x` and `dy`: automatic differentiation of the two-pass
    variance reads twice as many full-size tensors and traces three times as many operations.

    Source: Wu and He, "Group Normalization", 2018; deviations: none.

    Args:
        x: float `[N, H, W, C]`, time folded into N.
        scale: float `[C]`.
        offset: float `[C]`.
        groups: how many equal groups the channels fall into.

    Returns:
        As `x`, in shape and dtype.
    """

    @ops.custom_gradient
    def normalise(x, scale, offset):
        mean, inverse = _group_statistics(x, groups)
        a = inverse * ops.reshape(scale, (groups, -1))
        b = ops.reshape(offset, (groups, -1)) - mean * a
        y = ops.cast(x, "float32") * _over_pixels(a) + _over_pixels(b)

        def gradient(*args, upstream=None):
            # Keras' PyTorch backend hands the upstream gradient over by name.
            dy = args[-1] if upstream is None else upstream
            return _group_norm_gradient(dy, x, mean, inverse, a, groups)

        return ops.cast(y, x.dtype), gradient

    # Copies, as TensorFlow's custom gradients take tensors, not variables.
    return normalise(x, ops.copy(ops.cast(scale, "float32")), ops.copy(ops.cast(offset, "float32")))


# The statistics stay in the shape `[N, groups, channels of a group]` and meet the maps as
# `[N, 1, 1, C]`: indexing with None, and repeating a value over its group, would take a dozen
# operations each time, in hundreds of places.


def _over_pixels(x_NGc):
    """`[N, groups, c]` to `[N, 1, 1, C]`."""
    return ops.reshape(x_NGc, (-1, 1, 1, x_NGc.shape[1] * x_NGc.shape[2]))


def _group_statistics(x, groups):
    """Mean and inverse deviation, float32 `[N, groups, 1]`.

    The variance is two-pass, as a difference of squares cancels where a group holds few values:
    of each channel around its own mean, and of the channels' means around the group's.
    """
    x = ops.cast(x, "float32")
    in_groups = (-1, groups, x.shape[-1] // groups)
    mean_N11C = ops.mean(x, axis=(1, 2), keepdims=True)
    variance_NC = ops.mean(ops.square(x - mean_N11C), axis=(1, 2))
    mean_NGc = ops.reshape(mean_N11C, in_groups)
    mean = ops.mean(mean_NGc, axis=2, keepdims=True)
    spread_NGc = ops.reshape(variance_NC, in_groups) + ops.square(mean_NGc - mean)
    return mean, ops.rsqrt(ops.mean(spread_NGc, axis=2, keepdims=True) + GROUP_NORM_EPSILON)


def _group_norm_gradient(dy, x, mean, inverse, a, groups):
    """(dx, d scale, d offset) of `group_norm`, where `a` is inverse * scale, `[N, groups, c]`."""
    dy, x_float = ops.cast(dy, "float32"), ops.cast(x, "float32")
    in_groups = ops.shape(a)
    sum_dy = ops.reshape(ops.sum(dy, axis=(1, 2)), in_groups)
    sum_dy_x = ops.reshape(ops.sum(dy * x_float, axis=(1, 2)), in_groups)
    sum_dy_normal = (sum_dy_x - mean * sum_dy) * inverse
    values = x.shape[1] * x.shape[2] * (x.shape[3] // groups)
    on_x = -inverse * ops.sum(sum_dy_normal * a, axis=2, keepdims=True) / values
    constant = -ops.sum(sum_dy * a, axis=2, keepdims=True) / values - mean * on_x
    # As wide as `a`, on_x and the constant are equal within a group.
    wide = ops.zeros_like(a)
    dx = dy * _over_pixels(a) + x_float * _over_pixels(on_x + wide) + _over_pixels(constant + wide)
    by_scale, by_offset = ops.sum(sum_dy_normal, axis=0), ops.sum(sum_dy, axis=0)
    return ops.cast(dx, x.dtype), ops.reshape(by_scale, (-1,)), ops.reshape(by_offset, (-1,))
