"""Seeded noise and futures on TensorFlow, in one graph for every horizon."""

from collections.abc import Callable

import tensorflow as tf

from tfvrnn import backend
from tfvrnn.sampling.arguments import Predictor
from tfvrnn.tensor_ops import Tensor, to_float

backend.require_tensorflow()

ALGORITHM = "philox"  # named, because the automatic choice differs by device


def training_noise(
    model: Predictor, examples: Tensor, steps: int, seed: int, step: int | Tensor
) -> list[tf.Tensor]:
    """Draw the noise of a training or validation step.

    Row b depends only on (seed, step, level, examples[b]), so it does not matter how a batch is
    divided over devices.

    Args:
        model: any `VideoPredictor`.
        examples: int `[B]`, places in the whole batch.
        steps: predicted frames.
        seed: int.
        step: int scalar, may be a tensor.

    Returns:
        List of float32 tensors, shaped as `model.noise_shapes(B, steps)`.
    """
    shapes = [shape[1:] for shape in model.noise_shapes(1, steps)]

    def key(example, level):
        return _fold(_key(seed, step, level), example)

    return _normals(shapes, key, examples)


def training_choices(
    examples: Tensor, steps: int, probability: float, seed: int, step: int | Tensor
) -> tf.Tensor:
    """Draw which frames of a training step are replaced by the model's own predictions.

    As in `training_noise`, row b depends only on (seed, step, examples[b]).

    Args:
        examples: int `[B]`, places in the whole batch.
        steps: number of frames.
        probability: probability that a frame is replaced.
        seed: seed of the training.
        step: number of the training step.

    Returns:
        bool `[B, steps]`, True where the model's own prediction is used.
    """

    def choose(example):
        # A level that no model has, so that the choices do not depend on the latents' noise.
        key = _fold(_key(seed, step, -1), example)
        return tf.random.stateless_uniform((steps,), key, alg=ALGORITHM) < probability

    signature = tf.TensorSpec((steps,), tf.bool)
    return tf.map_fn(choose, tf.convert_to_tensor(examples), fn_output_signature=signature)


def row_noise(model: Predictor, seeds: Tensor, time: int | Tensor) -> list[tf.Tensor]:
    """Draw the noise of one predicted frame. Row b depends only on (seeds[b], its time, level).

    Args:
        model: any `VideoPredictor`.
        seeds: int `[B]`.
        time: number of the predicted frame, from 0; int scalar or `[B]`, may be a tensor.

    Returns:
        List of float32 `[B, r, r, Z]`, one per latent level.
    """
    shapes = [shape[2:] for shape in model.noise_shapes(1, 1)]
    seeds = tf.cast(seeds, tf.int64)
    times = tf.broadcast_to(tf.cast(time, tf.int64), tf.shape(seeds))
    rows = tf.stack([seeds, times], axis=1)
    return _normals(shapes, lambda row, level: _key(row[0], row[1], level), rows)


def _normals(shapes, key, rows) -> list:
    """Draw one array per shape, numbered `level`, with one row per entry of `rows`.

    Row and level give the key: key(row, level).
    """
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
    """Make a key of 128 bits. Folding in an int32 would shorten it to 32 bits per half."""
    return _fold(tf.stack([tf.cast(seed, tf.int64), tf.cast(time, tf.int64)]), level)


def _fold(key, number):
    return tf.random.experimental.stateless_fold_in(key, tf.cast(number, tf.int64), ALGORITHM)


def as_arrays(context: Tensor, seeds: Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Convert context and seeds to tensors. Seeds may be None."""
    return tf.convert_to_tensor(context), None if seeds is None else tf.convert_to_tensor(seeds)


def futures(
    model: Predictor, context: tf.Tensor, horizon: int, seeds: tf.Tensor | None, temperature: float
) -> tf.Tensor:
    """Same as `sample_videos`, for checked tensors. Without seeds, latents are at their means.

    Returns:
        float32 `[*seeds.shape, horizon, H, W, C]`, without seeds `[B, horizon, H, W, C]`.
    """
    context = to_float(context)
    count = tf.constant(horizon, tf.int32)
    if seeds is None:
        return compiled(model)(context, None, count)
    numbers = tf.cast(seeds, tf.int64)
    flat = compiled(model)(context, numbers, count, tf.constant(temperature, tf.float32))
    return tf.reshape(flat, (*numbers.shape, horizon, *flat.shape[2:]))


def compiled(model: Predictor) -> Callable:
    """Return the rollout of a model, compiled once per model, for any number of rows."""
    if not hasattr(model.rollouts, "tensorflow"):
        model.rollouts.tensorflow = tf.function(
            lambda *inputs: rollout_frames(model, *inputs), autograph=False, reduce_retracing=True
        )
    return model.rollouts.tensorflow


def rollout_frames(
    model: Predictor,
    context: tf.Tensor,
    seeds: tf.Tensor | None,
    horizon: tf.Tensor,
    temperature: float | tf.Tensor = 1.0,
) -> tf.Tensor:
    """Predict `[B * S, horizon, H, W, C]` from contexts `[B, ...]` and seeds `[B]` or `[B, S]`.

    Loops over `horizon` steps, a scalar tensor. Without seeds, every latent is at its mean. With
    seeds, the noise has the standard deviation `temperature`.
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

    # Two steps in flight: the part of a step that needs only the states starts before the previous
    # frame is complete (a fifth less time on two cores). Memory stays that of two steps.
    _, _, frames = tf.while_loop(
        lambda time, *_: time < horizon, advance, (0, state, frames), parallel_iterations=2
    )
    return tf.transpose(frames.stack(), (1, 0, 2, 3, 4))
