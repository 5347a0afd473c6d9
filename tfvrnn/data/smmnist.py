"""Stochastic Moving MNIST, generated on the fly inside tf.data.

Source of the rule: Denton and Fergus, "Stochastic Video Generation with a Learned Prior", 2018, and
its code. The image has side S, and a digit has P = S/2 pixels.

- At the start, the position is uniform on {0 .. S-P-1}. The velocity is uniform on {-v .. v} with
  v = 4 S/64, and (0, 0) is allowed.
- Before every frame is drawn, y and then x are checked. Below 0, the position becomes 0, its
  velocity becomes uniform on {1 .. v}, and the other axis' on {-v .. v}. At S-P or above, the
  position becomes S-P-1, its velocity becomes uniform on {-v .. -1}, and the other axis' on
  {-v .. v}.
- Digits are drawn additively and clipped at 1. Then they move by their velocity.

Video n of a split is a function of (seed, split, n) only.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfvrnn.config import DataConfig, ModelConfig
from tfvrnn.data.source import VideoSource

DIGITS_FILE = Path(__file__).parent / "mnist_digits.npz"
HELD_OUT_VIDEOS = 10_000
SPLIT_NUMBERS = {"train": 0, "validation": 1, "test": 2}


def make_source(data: DataConfig, model: ModelConfig, split: str, start: int = 0) -> VideoSource:
    """Make videos uint8 `[T, S, S, C]` from number `start` on; validation and test have 10,000.

    The digits are grey. For a model of 3 channels they are repeated in each channel.
    """
    digits = tf.constant(load_digits(split, data.digit_source))
    side, frames = model.image_size, model.context_frames + data.horizon
    stop = tf.int64.max if split == "train" else HELD_OUT_VIDEOS

    def make(number, _):
        video = make_video(video_key(data.seed, split, number), digits, frames, side, data.digits)
        return tf.repeat(video, model.channels, axis=-1)

    return VideoSource(tf.data.Dataset.range(start, stop).map(lambda n: (n, n)), make)


def video_key(seed: int, split: str, number: int | tf.Tensor) -> tf.Tensor:
    """Make the key, int64 `[2]`, of video `number` of a split."""
    key = tf.constant([seed, SPLIT_NUMBERS[split]], tf.int64)
    number = tf.cast(number, tf.int64)  # an int32 would shorten the key: 32 bits per half, not 64
    return tf.random.experimental.stateless_fold_in(key, number, alg="philox")


def load_digits(split: str, source: str = "packaged") -> np.ndarray:
    """Load the digits of a split, uint8 `[N, 28, 28]`; no digit is in two splits.

    `source` 'packaged' has the package's 10,000 digits: validation and test get every tenth each.
    'tfds' has MNIST's 70,000: test gets the test images, validation the last 5,000 training images.
    """
    if source == "tfds":
        import tensorflow_datasets as tfds  # slow to import, and only this source needs it

        part = {"train": "train[:55000]", "validation": "train[55000:]", "test": "test"}[split]
        batches = tfds.as_numpy(tfds.load("mnist", split=part).batch(10_000))
        return np.concatenate([batch["image"][..., 0] for batch in batches])
    with np.load(DIGITS_FILE) as file:
        images = file["images"]
    last = np.arange(len(images)) % 10
    return images[{"train": last < 8, "validation": last == 8, "test": last == 9}[split]]


def make_video(key: tf.Tensor, digits: tf.Tensor, frames: int, side: int, count: int) -> tf.Tensor:
    """Draw one video, uint8 `[frames, side, side, 1]`, of `count` moving digits.

    Args:
        key: int64 `[2]`, the video's own seed.
        digits: uint8 `[N, 28, 28]` to choose from.
    """
    chosen, positions_TD2 = plan_video(key, len(digits), frames, side, count)
    patch = side // 2
    images_DPP = resize_digits(tf.gather(digits, chosen), patch)
    # One-hot rows and columns place every digit by two matrix products. They are exact, as each
    # sum has only one term that is not zero.
    places_TD2P = positions_TD2[..., None] + tf.range(patch)
    rows_TDPS, columns_TDPS = tf.unstack(tf.one_hot(places_TD2P, side), axis=2)
    video = tf.einsum("tdpy,dpq,tdqx->tyx", rows_TDPS, images_DPP, columns_TDPS)
    pixels = tf.round(tf.clip_by_value(video, 0.0, 1.0) * 255.0)
    return tf.cast(pixels, tf.uint8)[..., None]


def plan_video(
    key: tf.Tensor, digits: int, frames: int, side: int, count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw everything random in one video: `count` of the first `digits` digits, and their paths.

    Returns:
        (numbers of the digits, int32 `[count]`; their paths, see `trajectories`).
    """
    keys = tf.unstack(tf.random.split(key, 2, alg="philox"))
    chosen = tf.random.stateless_uniform((count,), keys[0], 0, digits, tf.int32, alg="philox")
    return chosen, trajectories(keys[1], frames, side, count)


def resize_digits(digits: tf.Tensor, side: int) -> tf.Tensor:
    """Resize digits, uint8 `[N, 28, 28]`, to float32 `[N, side, side]` in about [0, 1]."""
    images = tf.cast(digits, tf.float32)[..., None] / 255.0
    return tf.image.resize(images, (side, side), antialias=True)[..., 0]


def trajectories(key: tf.Tensor, frames: int, side: int, count: int) -> tf.Tensor:
    """Draw the paths of the digits: (y, x) of top left corners, int32 `[frames, count, 2]`."""
    return follow(*draw_motion(key, frames, side, count), side - side // 2)


def draw_motion(
    key: tf.Tensor, frames: int, side: int, count: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draw everything random in the paths of `count` digits, int32.

    Returns:
        (position `[count, 2]`, velocity `[count, 2]`, free `[frames, count, 2, 2]`, away
        `[frames, count, 2]`). Position and velocity are those at the start, as (y, x). For every
        frame and axis that may hit a wall, `free` has new velocities of both axes, and `away` the
        speed away from the wall.
    """
    limit, fastest = side - side // 2, max(1, 4 * side // 64)
    keys = tf.unstack(tf.random.split(key, 4, alg="philox"))

    def uniform(key, shape, low, high):
        return tf.random.stateless_uniform(shape, key, low, high + 1, tf.int32, alg="philox")

    return (
        uniform(keys[0], (count, 2), 0, limit - 1),
        uniform(keys[1], (count, 2), -fastest, fastest),
        uniform(keys[2], (frames, count, 2, 2), -fastest, fastest),
        uniform(keys[3], (frames, count, 2), 1, fastest),
    )


def follow(
    position: tf.Tensor, velocity: tf.Tensor, free: tf.Tensor, away: tf.Tensor, limit: int
) -> tf.Tensor:
    """Apply the rule to the draws of `draw_motion`; return the paths `[frames, count, 2]`."""

    def advance(carry, draws):
        _, position, velocity = carry
        free_DAA, away_DA = draws
        for axis in range(2):  # y, then x: a hit in x redraws y's velocity once more
            low, high = position[:, axis] < 0, position[:, axis] >= limit
            turned = tf.where(low, away_DA[:, axis], -away_DA[:, axis])
            redrawn = tf.where(tf.range(2) == axis, turned[:, None], free_DAA[:, axis])
            velocity = tf.where((low | high)[:, None], redrawn, velocity)
        position = tf.clip_by_value(position, 0, limit - 1)
        return position, position + velocity, velocity

    drawn, _, _ = tf.scan(advance, (free, away), (position, position, velocity))
    return drawn
