"""Count a model's floating-point operations, and measure the machine's peak, on any backend."""

import functools
import math
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import common

BACKWARD = 2  # a convolution has two gradients of its size: by its inputs and by its kernel


def training_flops(model, horizon: int) -> int:
    """Count the floating-point operations of one train step for one video.

    They are counted while the model runs: every convolution and product that it computes forward,
    times three for the gradient. A multiplication and an addition are two operations. Borders count
    in full. Normalisations and activations, a few percent, do not count.
    """
    frames = (1, model.context_frames + horizon, *model.image_shape)
    return (1 + BACKWARD) * count(model, lambda: _run(model, frames, horizon))


def _run(model, shape, horizon):
    from keras import ops

    noise = [ops.zeros(shape) for shape in model.noise_shapes(1, horizon)]
    model.training_terms(ops.zeros(shape), noise)


def count(model, run) -> int:
    """Count the floating-point operations of the convolutions and products in `run()`."""
    import keras

    total = 0

    def counted(layer, call, x, *args, **kwargs):
        nonlocal total
        y = call(x, *args, **kwargs)
        # Each value of the output, or of a transposed convolution's input, meets the kernel once.
        # The kernel's other channels are summed over.
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        values = x if transposed else y
        total += 2 * math.prod(values.shape) * math.prod(layer.kernel.shape) // values.shape[-1]
        return y

    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Dense)
    found = [layer for layer in model._flatten_layers() if isinstance(layer, kinds)]
    for layer in found:
        layer.call = functools.partial(counted, layer, layer.call)
    try:
        with _unrolled():
            run()
    finally:
        for layer in found:
            del layer.call
    return total


def _unrolled():
    """Unroll recurrences: a loop would run one step more, for its shapes, or be traced."""
    import keras

    return mock.patch.object(keras.layers, "RNN", functools.partial(keras.layers.RNN, unroll=True))


def peak_flops(dtype: str = "float32", side: int = 2048, repeats: int = 7, together: int = 1):
    """Measure the machine's best rate, in operations per second, over products and convolutions.

    One operation is measured by itself, and `together` of them at once, each in a thread of its
    own. If an operation has only some of the cores (`backend.divide_cores`), a single one does not
    reach the peak.
    """
    import numpy as np
    from keras import ops

    rng = np.random.default_rng(0)
    square = ops.cast(rng.normal(size=(side, side)), dtype)
    maps = ops.cast(rng.normal(size=(8, side // 32, side // 32, 64)), dtype)
    kernel = ops.cast(rng.normal(size=(3, 3, 64, 64)), dtype)
    work = [
        (lambda: ops.matmul(square, square), 2 * side**3),
        (lambda: ops.conv(maps, kernel, padding="same"), 2 * math.prod(maps.shape) * 9 * 64),
    ]

    def rate(compute, operations, copies):
        def finish(_):
            # Only the last value is fetched: by then everything before it has been computed.
            return ops.convert_to_numpy(ops.ravel(compute())[-1:])

        with ThreadPoolExecutor(copies) as threads:
            seconds = common.median_time(lambda: list(threads.map(finish, range(copies))), repeats)
        return copies * operations / seconds

    return max(rate(*one, copies) for one in work for copies in {1, together})
