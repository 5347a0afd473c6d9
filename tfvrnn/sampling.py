"""Seeded noise, and seeded rollouts of any `VideoPredictor`."""

import math
import operator

import tensorflow as tf

from tfvrnn import backend
from tfvrnn.models import VideoPredictor

backend.require_tensorflow()

ALGORITHM = "philox"  # named, as the automatic choice differs by device


def training_noise(model: VideoPredictor, examples, steps: int, seed: int, step):
    """The noise of a training or validation step: row b depends on (seed, step, level,
    examples[b]) alone, so that it does not matter how a batch is divided over devices.

    Args:
        examples: int `[B]`, places in the whole batch.
        steps: predicted frames.
        seed: int. step: int scalar, may be a tensor.

    Returns:
        List of float32 tensors, shaped as `model.noise_shapes(B, steps)`.
    """
    shapes = [shape[1:] for shape in model.noise_shapes(1, steps)]

    def key(example, level):
        return _fold(_key(seed, step, level), example)

    return _normals(shapes, key, examples)


def row_noise(model: VideoPredictor, seeds, time):
    """The noise of one predicted frame: row b is a function of (seeds[b], time, level) alone.

    Args:
        seeds: int `[B]`.
        time: number of the predicted frame, from 0; int scalar, may be a tensor.

    Returns:
        List of float32 `[B, r, r, Z]`, one per latent level.
    """
    shapes = [shape[2:] for shape in model.noise_shapes(1, 1)]
    return _normals(shapes, lambda seed, level: _key(seed, time, level), seeds)


def _normals(shapes, key, rows) -> list:
    """For each shape number `level`, a row for every one of `rows`, drawn by key(row, level)."""
    if not shapes:
        return []

    def draw(row):
        return [
            tf.random.stateless_normal(shape, key(row, level), alg=ALGORITHM)
            for level, shape in enumerate(shapes)
        ]

    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return tf.map_fn(draw, tf.convert_to_tensor(rows), fn_output_signature=specs)


def _key(seed, time, level: int):
    """A key of 128 bits: folding in an int32 would leave 32 of each half."""
    return _fold(tf.stack([tf.cast(seed, tf.int64), tf.cast(time, tf.int64)]), level)


def _fold(key, number):
    return tf.random.experimental.stateless_fold_in(key, tf.cast(number, tf.int64), ALGORITHM)


def sample_videos(
    model: VideoPredictor,
    context,
    horizon: int,
    seeds=None,
    mean: bool = False,
    temperature: float = 1.0,
):
    """Draw futures of contexts: ancestral and stateful, every frame computed once.

    Args:
        model: any family.
        context: `[B, n_ctx, H, W, C]`, float in [0, 1], or uint8.
        horizon: frames to predict, any number.
        seeds: int `[B]`, or `[B, S]` for S futures of each context, which is encoded once.
        mean: take every latent at its mean: one future of each context, whatever the seeds.
        temperature: deviation of the prior's noise. 1 samples the model; less draws futures
            nearer to the mean, 0 the mean itself.

    Returns:
        float32 `[B, horizon, H, W, C]`, or `[B, S, horizon, H, W, C]`, pixels in [0, 1].

    Raises:
        ValueError: a context of another shape than the model's, seeds that are missing, empty, not
            integers or without a row for every context, a horizon that is no number of frames, a
            temperature that is negative or not finite.
    """
    context = tf.convert_to_tensor(context)
    horizon = _count(horizon)
    _check(model, context, seeds, mean)
    if not 0.0 <= temperature < math.inf:
        raise ValueError(f"`temperature` must be at least 0. Received: {temperature}")
    if context.dtype == tf.uint8:
        context = tf.cast(context, tf.float32) / 255.0
    if mean:
        return _rollout(model)(context, None, tf.constant(horizon, tf.int32))
    seeds = tf.cast(tf.convert_to_tensor(seeds), tf.int64)
    temperature = tf.constant(temperature, tf.float32)
    flat = _rollout(model)(context, seeds, tf.constant(horizon, tf.int32), temperature)
    return tf.reshape(flat, (*seeds.shape, horizon, *flat.shape[2:]))


def _count(horizon) -> int:
    """Frames as an int: of a Python or NumPy integer, or a tensor of one."""
    try:
        count = 0 if isinstance(horizon, bool) else operator.index(horizon)
    except TypeError:
        count = 0
    if count < 1:
        raise ValueError(f"`horizon` must be an integer, at least 1. Received: {horizon!r}")
    return count


def _check(model, context, seeds, mean):
    expected = (model.context_frames, *model.image_shape)
    if context.shape.rank != 5 or context.shape[1:] != expected:
        shape = ", ".join(map(str, expected))
        raise ValueError(f"`context` must be [B, {shape}]. Received: shape {context.shape}")
    if context.shape[0] == 0:
        raise ValueError(f"`context` must have a row. Received: shape {context.shape}")
    if not (context.dtype.is_floating or context.dtype == tf.uint8):
        raise ValueError(f"`context` must be float or uint8. Received: {context.dtype.name}")
    if mean:
        return
    if seeds is None:
        raise ValueError("`seeds` must be given, or `mean` be true. Received: None")
    seeds = tf.convert_to_tensor(seeds)
    if seeds.shape.rank not in (1, 2) or seeds.shape[0] != context.shape[0]:
        raise ValueError(
            f"`seeds` must be [B] or [B, S] with B = {context.shape[0]}. "
            f"Received: shape {seeds.shape}"
        )
    if 0 in seeds.shape:
        raise ValueError(f"`seeds` must not be empty. Received: shape {seeds.shape}")
    if not seeds.dtype.is_integer:
        raise ValueError(f"`seeds` must be integers. Received: {seeds.dtype.name}")


def _rollout(model):
    """The compiled rollout of a model, made once for each."""
    if not hasattr(model, "_compiled_rollout"):
        rollout = tf.function(lambda *arguments: rollout_frames(model, *arguments), autograph=False)
        # Not tracked as a part of the model: past Keras' attribute handling.
        object.__setattr__(model, "_compiled_rollout", rollout)
    return model._compiled_rollout


def rollout_frames(model, context, seeds, horizon, temperature=1.0):
    """Frames `[B * S, horizon, H, W, C]` of contexts `[B, ...]` and seeds `[B]` or `[B, S]`.

    A loop of `horizon` steps, a scalar tensor. Without seeds every latent is at its mean. With
    seeds the noise has the deviation `temperature`.
    """
    mean = seeds is None
    state = model.begin(context)
    if not mean:
        samples = tf.size(seeds) // tf.maximum(tf.shape(context)[0], 1)
        state = tf.nest.map_structure(lambda x: tf.repeat(x, samples, axis=0), state)
        seeds = tf.reshape(seeds, [-1])
    frames = tf.TensorArray(
        tf.float32, horizon, element_shape=(None, *model.image_shape), infer_shape=False
    )

    def advance(time, state, frames):
        noise = None if mean else [temperature * z for z in row_noise(model, seeds, time)]
        state, frame = model.step(state, noise, mean)
        return time + 1, state, frames.write(time, frame)

    # Two steps in flight: what a step needs of the states alone starts while the frame before it
    # is finished (a fifth less time on two cores). Memory stays that of two steps.
    _, _, frames = tf.while_loop(
        lambda time, *_: time < horizon, advance, (0, state, frames), parallel_iterations=2
    )
    return tf.transpose(frames.stack(), (1, 0, 2, 3, 4))
