"""Futures on JAX and PyTorch: a Python loop over a compiled step, with NumPy's noise."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.sampling.arguments import Predictor
from tfvrnn.tensor_ops import Tensor


def row_noise(model: Predictor, seeds: Sequence[int] | np.ndarray, time: int) -> list[np.ndarray]:
    """Draw the noise of one predicted frame. Row b depends only on (seeds[b], time, level).

    Args:
        model: any `VideoPredictor`.
        seeds: int `[B]`.
        time: number of the predicted frame, from 0.

    Returns:
        List of float32 `[B, r, r, Z]`, one per latent level, the same on every backend.
    """

    def draw(seed, level, shape):
        key = np.array([int(seed) % 2**64, 0], np.uint64)
        philox = np.random.Philox(key=key, counter=[0, 0, level, time])
        return np.random.Generator(philox).standard_normal(shape, np.float32)

    shapes = [shape[2:] for shape in model.noise_shapes(1, 1)]
    return [
        np.stack([draw(seed, level, shape) for seed in seeds]) for level, shape in enumerate(shapes)
    ]


def as_arrays(context: Tensor, seeds: Tensor) -> tuple[Tensor, np.ndarray | None]:
    """Convert the context to a tensor. Seeds stay outside the backend, as a NumPy array."""
    if seeds is not None:
        seeds = ops.convert_to_numpy(seeds) if ops.is_tensor(seeds) else np.asarray(seeds)
    return ops.convert_to_tensor(context), seeds


def futures(
    model: Predictor, context: Tensor, horizon: int, seeds: np.ndarray | None, temperature: float
) -> Tensor:
    """Same as `sample_videos`, for checked arrays. Without seeds, latents are at their means.

    Returns:
        float32 `[*seeds.shape, horizon, H, W, C]`.
    """
    begin, step = _compiled(model)
    state = begin(tensor_ops.to_float(context))
    shape = (context.shape[0],) if seeds is None else seeds.shape
    if seeds is not None:
        samples = seeds.size // context.shape[0]
        state = keras.tree.map_structure(lambda x: ops.repeat(x, samples, axis=0), state)
    frames = []
    for time in range(horizon):
        noise = None
        if seeds is not None:
            drawn = row_noise(model, seeds.ravel(), time)
            noise = [ops.convert_to_tensor(np.float32(temperature) * z) for z in drawn]
        state, frame = step(state, noise)
        frames.append(frame)
    return ops.reshape(ops.stack(frames, axis=1), (*shape, horizon, *model.image_shape))


def _compiled(model):
    """Return (begin, step) of a model, compiled once per model."""
    if not hasattr(model.rollouts, "host"):
        make = {"jax": _in_jax, "torch": _in_torch}[keras.backend.backend()]
        model.rollouts.host = make(model)
    return model.rollouts.host


def _step(model, state, noise):
    return model.step(state, noise, mean=noise is None)


def _in_jax(model):
    """Compile with the weights as arguments, so that later training takes effect."""
    import jax

    def begin(weights, context):
        with keras.StatelessScope(state_mapping=list(zip(model.weights, weights))):
            return model.begin(context)

    def step(weights, state, noise):
        with keras.StatelessScope(state_mapping=list(zip(model.weights, weights))):
            return _step(model, state, noise)

    def given_weights(function):
        compiled = jax.jit(function)
        return lambda *inputs: compiled([weight.value for weight in model.weights], *inputs)

    return given_weights(begin), given_weights(step)


def _in_torch(model):
    import torch  # pyright: ignore[reportMissingImports] (an extra)

    # Not in inference mode: the caller may use the frames in further computation.
    without_gradients = torch.no_grad()
    return (
        without_gradients(model.begin),
        without_gradients(lambda state, noise: _step(model, state, noise)),
    )
