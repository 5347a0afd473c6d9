"""Inputs that the golden scripts and the tests share, drawn by NumPy."""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent

CHANNELS = {
    "alex": {
        0: (11, 3, 64),
        3: (5, 64, 192),
        6: (3, 192, 384),
        8: (3, 384, 256),
        10: (3, 256, 256),
    },
    "vgg": {
        layer: (3, before, after)
        for layer, before, after in zip(
            (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
            (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512),
            (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
        )
    },
}


def trunk_arrays(trunk):
    """Draw {layer's number as text: (kernel [h, w, in, out], bias)}, float32."""
    rng, arrays = np.random.default_rng(7), {}
    for layer, (side, before, after) in CHANNELS[trunk].items():
        deviation = np.sqrt(2.0 / (side * side * before))
        kernel = rng.normal(0, deviation, (side, side, before, after)).astype(np.float32)
        arrays[str(layer)] = kernel, rng.normal(0, 0.1, after).astype(np.float32)
    return arrays


def images():
    """Draw two batches of 64x64 colour images in [0, 1]; the second pair is equal."""
    rng = np.random.default_rng(8)
    frames, truth = rng.uniform(size=(2, 3, 64, 64, 3)).astype(np.float32)
    truth[1] = frames[1]
    truth[2] = 0.8 * frames[2] + 0.1
    return frames, truth


def pictures():
    """Draw two batches of 72x88 squares in [0, 1]; the second is noisy, shifted and darker."""
    rng = np.random.default_rng(9)
    frames = rng.uniform(size=(3, 9, 11, 3)).repeat(8, axis=1).repeat(8, axis=2)
    noisy = np.clip(frames[0] + rng.normal(0, 0.1, frames[0].shape), 0, 1)
    changed = np.stack([noisy, np.roll(frames[1], (3, 5), axis=(0, 1)), 0.6 * frames[2]])
    return frames.astype(np.float32), changed.astype(np.float32)


def clip():
    """Draw a clip `[1, 16, 224, 224, 3]` of random squares, in [-1, 1]."""
    coarse = np.random.default_rng(3).uniform(-1, 1, (1, 16, 28, 28, 3))
    return coarse.repeat(8, axis=2).repeat(8, axis=3).astype(np.float32)


def summary(values):
    """Return mean, deviation, and 64 values spread over an array."""
    flat = np.asarray(values, np.float64).reshape(-1)
    spread = flat[np.linspace(0, len(flat) - 1, 64).astype(int)]
    return np.concatenate([[flat.mean(), flat.std()], spread])
