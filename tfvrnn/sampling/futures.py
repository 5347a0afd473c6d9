"""The entry point for drawing futures of contexts, on every backend."""

import itertools
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras import ops

from tfvrnn.sampling import arguments
from tfvrnn.sampling.arguments import Predictor
from tfvrnn.tensor_ops import Tensor


def sample_videos(
    model: Predictor,
    context: Tensor,
    horizon: int,
    seeds: Tensor = None,
    mean: bool = False,
    temperature: float = 1.0,
) -> Tensor:
    """Draw futures of contexts by ancestral sampling, computing every frame once.

    A future is a function of weights, context and seed. On TensorFlow, the noise comes from its
    stateless generators. On JAX and PyTorch, it comes from NumPy's Philox, so the same seed has
    another future than on TensorFlow.

    Args:
        model: any `VideoPredictor`.
        context: `[B, n_ctx, H, W, C]`, float in [0, 1], or uint8.
        horizon: frames to predict, any number.
        seeds: int `[B]`, or `[B, S]` for S futures per context. A context is encoded once.
        mean: take every latent at its mean. This gives one future per context, whatever the
            seeds.
        temperature: standard deviation of the prior's noise. 1 samples the model. Less draws
            futures nearer to the mean, and 0 the mean itself.

    Returns:
        float32 `[B, horizon, H, W, C]`, or `[B, S, horizon, H, W, C]`, pixels in [0, 1].

    Raises:
        ValueError: an argument does not fit. The context has another shape than the model's, or
            is a NumPy array with floats outside of [0, 1]. Seeds are missing, empty, not integers
            or fewer than the contexts. The horizon is not a positive integer. The temperature is
            negative or not finite.
    """
    loop = _loop()
    given = context = arguments.as_array(context)
    context, seeds = loop.as_arrays(context, seeds)
    horizon = arguments.at_least_1("horizon", horizon)
    arguments.check(model, context, seeds, mean, temperature)
    arguments.check_range("context", given)
    return loop.futures(model, context, horizon, None if mean else seeds, temperature)


def predict_videos(
    model: Predictor,
    context: Any,
    horizon: int,
    seed: int = 0,
    batch_size: int = 32,
    verbose: int | str = "auto",
    steps: int | None = None,
) -> np.ndarray:
    """Draw one future per context, batch by batch; see `VideoPredictor.predict`."""
    batch_size = arguments.at_least_1("batch_size", batch_size)
    steps = steps if steps is None else arguments.at_least_1("steps", steps)
    arguments.check_seed(seed)
    futures, rows = [], 0
    total = -(-len(context) // batch_size) if hasattr(context, "shape") else steps
    bar = keras.utils.Progbar(total, verbose=1 if verbose == "auto" else verbose)
    for batch in itertools.islice(_batches(context, batch_size), steps):
        seeds = np.arange(seed + rows, seed + rows + len(batch), dtype=np.int64)
        futures.append(ops.convert_to_numpy(sample_videos(model, batch, horizon, seeds)))
        rows += len(batch)
        bar.add(1)
    if not futures:
        raise ValueError("`x` must hold a context. Received: none")
    return np.concatenate(futures)


def _batches(context, size: int) -> Iterator[np.ndarray]:
    """Yield batches as arrays, from an array, or from an iterable of batches or tuples of one."""
    if hasattr(context, "shape"):
        batches: Iterable = (context[k : k + size] for k in range(0, len(context), size))
    elif isinstance(context, Iterable) and not isinstance(context, (str, bytes, dict)):
        batches = (b[0] if isinstance(b, (tuple, list)) else b for b in context)
    else:
        raise ValueError(f"`x` must hold contexts. Received: a {type(context).__name__}")
    for batch in batches:
        yield ops.convert_to_numpy(batch) if ops.is_tensor(batch) else np.asarray(batch)


def _loop() -> ModuleType:
    if keras.backend.backend() == "tensorflow":
        from tfvrnn.sampling import tensorflow_loop as loop
    else:
        from tfvrnn.sampling import host_loop as loop
    return loop
