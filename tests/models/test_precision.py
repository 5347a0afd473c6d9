"""The shipped weights under half precision."""

import numpy as np
import pytest
import tensorflow as tf

from tfvrnn import sampling
from tfvrnn.data import first_videos
from tfvrnn.runs import load_pretrained

VIDEOS = 16


def kl_per_level(precision):
    config, model, _ = load_pretrained("smmnist", precision)
    videos = first_videos(config.data, config.model, "test", VIDEOS)
    noise = sampling.training_noise(model, tf.range(VIDEOS), config.data.horizon, 0, 0)
    kl = model.latent_kl(tf.cast(videos, tf.float32) / 255.0, noise)
    return {level: np.sum(nats) for level, nats in kl.items()}


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_the_kl_of_trained_weights(precision):
    exact, half = kl_per_level("float32"), kl_per_level(precision)
    for level, nats in exact.items():
        assert half[level] == pytest.approx(nats, rel=0.03)
