"""Augment a training clip: every frame alike, as a function of (seed, number) only."""

import tensorflow as tf

from tfvrnn.config import DataConfig

GREY = (0.2989, 0.587, 0.114)


def is_wanted(data: DataConfig) -> bool:
    """Return whether any augmentation is on."""
    return data.flip or data.color_jitter > 0 or data.crop < 1


def augment(video: tf.Tensor, number: tf.Tensor, data: DataConfig) -> tf.Tensor:
    """Randomly crop, flip and colour-jitter a clip.

    Args:
        video: uint8 `[T, H, W, C]`.
        number: number of the video, int64.
        data: `crop` is the least side of the random square that is cut out and resized. `flip`
            flips horizontally with probability 0.5. `color_jitter` is the largest change of
            brightness, contrast and (in colour) saturation.

    Returns:
        uint8 `[T, H, W, C]`.
    """
    key = tf.stack([tf.constant(data.seed, tf.int64), number])

    def uniform(use, low, high):
        own = tf.random.experimental.stateless_fold_in(key, use, alg="philox")
        return tf.random.stateless_uniform((), own, low, high, alg="philox")

    shape = video.shape
    if data.crop < 1:
        side = uniform(1, data.crop, 1.0)
        y, x = uniform(2, 0.0, 1.0) * (1 - side), uniform(3, 0.0, 1.0) * (1 - side)
        box = tf.tile([[y, x, y + side, x + side]], [shape[0], 1])
        size, frames = shape[1:3], tf.cast(video, tf.float32)
        video = tf.image.crop_and_resize(frames, box, tf.range(shape[0]), size)
    if data.flip:
        video = tf.cond(uniform(4, 0.0, 1.0) < 0.5, lambda: tf.reverse(video, [2]), lambda: video)
    if data.color_jitter > 0:
        amount = data.color_jitter
        low, high = max(0.0, 1 - amount), 1 + amount
        video = tf.cast(video, tf.float32)
        if shape[-1] == 3:
            grey = tf.reduce_sum(video * tf.constant(GREY), axis=-1, keepdims=True)
            video = grey + uniform(5, low, high) * (video - grey)
        mean = tf.reduce_mean(video)
        video = mean + uniform(6, low, high) * (video - mean)
        video *= uniform(7, low, high)
    video = tf.clip_by_value(tf.round(tf.cast(video, tf.float32)), 0.0, 255.0)
    return tf.ensure_shape(tf.cast(video, tf.uint8), shape)
