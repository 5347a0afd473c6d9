"""Futures with given latents, which show whether a model uses its latents."""

from collections.abc import Sequence

import tensorflow as tf

from tfvrnn.models import VideoPredictor

# Latents of the true future, of another video's future, at the prior's means, and zero.
GIVEN = ("posterior", "shuffled", "mean", "zeroed")


def futures_with_given_latents(
    model: VideoPredictor, frames: tf.Tensor, noise: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Draw one future per video for each of `GIVEN`. Each is fed with its own frames.

    The posterior's latents are inferred from the whole video and sampled. The shuffled latents are
    the posterior's of the next video in the batch.

    Args:
        model: a model with latents.
        frames: float32 `[B, T, H, W, C]` in [0, 1], context first; at least two videos.
        noise: of the posterior, shaped as `noise_shapes(B, T - n_ctx)`.

    Returns:
        float32 `[B, 4, T - n_ctx, H, W, C]`.
    """
    inferred, _ = model.infer_latents(frames, noise)
    given, choices = [_choices(z) for z in inferred], len(GIVEN)
    rows, horizon = tf.shape(given[0])[0], given[0].shape[1]
    state = model.begin(frames[:, : model.context_frames])
    state = tf.nest.map_structure(lambda x: tf.repeat(x, choices, axis=0), state)
    at_mean = tf.tile([name == "mean" for name in GIVEN], [rows // choices])
    future = tf.TensorArray(tf.float32, horizon, element_shape=(None, *model.image_shape))

    def advance(time, state, future):
        state, means = model.draw(state, None, mean=True)
        latents = [
            tf.where(at_mean[:, None, None, None], mean, z[:, time])
            for mean, z in zip(means, given)
        ]
        state, frame = model.render(state, latents)
        return time + 1, model.observe(state, frame), future.write(time, frame)

    _, _, future = tf.while_loop(lambda time, *_: time < horizon, advance, (0, state, future))
    frames = tf.transpose(future.stack(), (1, 0, 2, 3, 4))
    return tf.reshape(frames, (-1, choices, horizon, *model.image_shape))


def _choices(z_BTHWZ):
    """Stack latents `[4 * B, T, r, r, Z]`, four rows per video. The row of the means has zeros."""
    zeros = tf.zeros_like(z_BTHWZ)
    given = {"posterior": z_BTHWZ, "shuffled": tf.roll(z_BTHWZ, -1, axis=0)}
    stacked = tf.stack([given.get(name, zeros) for name in GIVEN], axis=1)
    return tf.reshape(stacked, (-1, *z_BTHWZ.shape[1:]))
