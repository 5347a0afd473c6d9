"""Tensor helpers of the pure-Keras core: folded time, upsampling, group normalisation."""

from keras import ops

GROUP_NORM_EPSILON = 1e-5


def fold_time(x):
    """Fold time into the batch: `[B, T, ...]` to `[B * T, ...]`."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def unfold_time(x, steps: int):
    """The inverse of `fold_time`: `[B * T, ...]` to `[B, T, ...]` with `T = steps`."""
    return ops.reshape(x, (-1, steps, *x.shape[1:]))


def upsample_nearest(x, resolution: int):
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


def max_pool(x, side: int):
    """The largest value of every `side` by `side` square: `[N, H, W, C]` to a `side`th of it."""
    # Strides given, as Keras' JAX backend takes the default of an integer size amiss.
    return ops.max_pool(x, (side, side), (side, side))


def group_norm(x, scale, offset, groups: int):
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
        a = inverse * scale
        y = _multiply_add(x, a, offset - mean * a)

        def gradient(*args, upstream=None):
            # Keras' PyTorch backend hands the upstream gradient over by name.
            dy = args[-1] if upstream is None else upstream
            return _group_norm_gradient(dy, x, mean, inverse, scale, groups)

        return ops.cast(y, x.dtype), gradient

    # Copies, as TensorFlow's custom gradients take tensors, not variables.
    return normalise(x, ops.copy(ops.cast(scale, "float32")), ops.copy(ops.cast(offset, "float32")))


def _multiply_add(x, a_NC, b_NC):
    return ops.cast(x, "float32") * a_NC[:, None, None, :] + b_NC[:, None, None, :]


def _group_mean(x_NC, groups):
    """Mean within each group of channels, repeated over the group: `[N, C]` to `[N, C]`."""
    channels = x_NC.shape[-1]
    x_NGc = ops.reshape(x_NC, (-1, groups, channels // groups))
    mean_NGc = ops.broadcast_to(ops.mean(x_NGc, axis=-1, keepdims=True), ops.shape(x_NGc))
    return ops.reshape(mean_NGc, (-1, channels))


def _group_statistics(x, groups):
    """Mean and inverse deviation, float32 `[N, C]`, equal within a group.

    The variance is two-pass: a difference of squares cancels where a group holds few values.
    """
    x = ops.cast(x, "float32")
    mean = _group_mean(ops.mean(x, axis=(1, 2)), groups)
    squares = ops.square(x - mean[:, None, None, :])
    variance = _group_mean(ops.mean(squares, axis=(1, 2)), groups)
    return mean, ops.rsqrt(variance + GROUP_NORM_EPSILON)


def _group_norm_gradient(dy, x, mean, inverse, scale, groups):
    """(dx, d scale, d offset) of `group_norm`."""
    dy = ops.cast(dy, "float32")
    pixels = x.shape[1] * x.shape[2]
    sum_dy = ops.sum(dy, axis=(1, 2))
    sum_dy_normal = (ops.sum(dy * ops.cast(x, "float32"), axis=(1, 2)) - mean * sum_dy) * inverse
    mean_1 = _group_mean(sum_dy * scale, groups) / pixels
    mean_2 = _group_mean(sum_dy_normal * scale, groups) / pixels
    on_x = -inverse * inverse * mean_2
    dx = _multiply_add(x, on_x, -inverse * mean_1 - mean * on_x)
    dx = dx + dy * (inverse * scale)[:, None, None, :]
    return ops.cast(dx, x.dtype), ops.sum(sum_dy_normal, axis=0), ops.sum(sum_dy, axis=0)
