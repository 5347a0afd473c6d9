"""Shared parts of the tests of measurements: videos, and a cheap network instead of I3D."""

import numpy as np
from PIL import Image


def save_network(folder) -> str:
    """Save a network that replaces I3D: means over a 2x2 grid, in 12 dimensions."""
    import tensorflow as tf

    module, shape = tf.Module(), (None, None, 224, 224, 3)

    def means(rgb):
        parts = tf.reshape(tf.reduce_mean(rgb, 1), (-1, 2, 112, 2, 112, 3))
        return {"default": tf.reshape(tf.reduce_mean(parts, (2, 4)), (-1, 12))}

    call = tf.function(means).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    tf.saved_model.save(module, str(folder), {"default": call})
    return str(folder)


def noise(number, frames=9, height=16, width=16, channels=3) -> np.ndarray:
    """Draw a video of noise around a brightness, a different one for each number."""
    rng = np.random.default_rng(number)
    shape = (frames, height, width, channels)
    return (
        rng.integers(0, 60, shape)
        + rng.integers(0, 190, (1, 2, 1, channels)).repeat(height // 2, axis=1)
    ).astype(np.uint8)


def write_images(folder, video) -> None:
    """Write a video as a folder of PNGs, without loss."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(video):
        picture = frame[..., 0] if frame.shape[-1] == 1 else frame
        Image.fromarray(picture).save(folder / f"{number}.png")


def write_side(folder, videos, names=None) -> None:
    """Write videos as folders of images, named 0, 1, ... or by the given names."""
    for number, video in enumerate(videos):
        write_images(folder / (names[number] if names else str(number)), video)
