"""Half precision, of a model and of all of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvrnn import sampling
from tfvrnn.config import ModelConfig
from tfvrnn.data import first_videos
from tfvrnn.models import build_model
from tfvrnn.runs import load_pretrained

VIDEOS = 16


def kl_per_level(precision):
    config, model, _ = load_pretrained("smmnist", precision)
    videos = first_videos(config.data, config.model, "test", VIDEOS)
    noise = sampling.training_noise(model, tf.range(VIDEOS), config.data.horizon, 0, 0)
    kl = model.latent_kl(tf.cast(videos, tf.float32) / 255.0, noise)
    return {level: np.sum(nats) for level, nats in kl.items()}


@pytest.mark.thorough
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_the_kl_of_trained_weights(precision):
    exact, half = kl_per_level("float32"), kl_per_level(precision)
    for level, nats in exact.items():
        assert half[level] == pytest.approx(nats, rel=0.03)


@pytest.mark.thorough
def test_a_policy_of_all_of_keras_does_not_change_a_model(rng):
    size = dict(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1, 8))
    model = build_model(ModelConfig(**size, latent_feedback="own"), seed=3)
    for level in model.posterior_levels:  # where its last scale is 0, nothing is rounded
        level.head.norm.scale.assign(np.ones(level.head.norm.scale.shape))
    frames = tf.constant(rng.uniform(size=(2, 5, 8, 8, 1)), tf.float32)
    noise = [tf.constant(rng.normal(size=s), tf.float32) for s in model.noise_shapes(2, 3)]
    expected, _ = model.training_terms(frames, noise)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found, _ = tf.function(model.training_terms)(frames, noise)
    finally:
        keras.config.set_dtype_policy(policy)
    for name, term in expected.items():
        np.testing.assert_allclose(found[name], term, rtol=1e-4)
