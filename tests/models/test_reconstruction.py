import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfvrnn.config import ModelConfig, UserError
from tfvrnn.models import CopyLast, build_model
from tfvrnn.models.reconstruction import Likelihood, bits_per_dimension, reconstruction_loss

KINDS = {"laplace": scipy.stats.laplace, "gaussian": scipy.stats.norm}
SHAPE = (2, 3, 4, 5, 3)


@pytest.fixture
def frames(rng):
    return rng.uniform(size=SHAPE).astype(np.float32)


@pytest.fixture
def logits(rng):
    return rng.normal(size=SHAPE).astype(np.float32)


def scale_of(kind, error):
    """Return SciPy's scale: b, or the square root of v."""
    return error if kind == "laplace" else np.sqrt(error)


@pytest.mark.parametrize("kind", KINDS)
def test_the_term_is_the_log_density_of_scipy(kind, frames, logits):
    likelihood = Likelihood(kind, 3)
    error = np.array([0.2, 0.03, 0.4], np.float32)
    likelihood.error.assign(error)
    mean = 1 / (1 + np.exp(-logits.astype(np.float64)))
    density = KINDS[kind].logpdf(frames, mean, scale_of(kind, error))
    expected = -density.sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(likelihood(frames, logits), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_error_is_the_scale_of_the_highest_likelihood(kind, frames, logits):
    likelihood = Likelihood(kind, 3)
    mean = np.asarray(keras.ops.sigmoid(logits))
    best = np.asarray(likelihood.mean_error(frames, mean))
    for channel in range(3):
        residuals = (frames - mean)[..., channel].ravel()
        _, scale = KINDS[kind].fit(residuals, floc=0)
        assert scale_of(kind, best[channel]) == pytest.approx(scale, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_follows_to_the_optimum_and_stays(kind, frames, logits):
    likelihood = Likelihood(kind, 3)
    error = likelihood.mean_error(frames, keras.ops.sigmoid(logits))
    for _ in range(400):
        likelihood.error.assign(likelihood.followed(error))
    np.testing.assert_allclose(likelihood.error, error, rtol=1e-5)
    loss = np.asarray(likelihood(frames, logits)).sum()
    for factor in (0.9, 1.1):
        likelihood.error.assign(factor * error)
        assert np.asarray(likelihood(frames, logits)).sum() > loss


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_judged_at_its_own_best_scale(kind, frames):
    copy = np.repeat(frames[:, :1], 3, axis=1)
    residuals = frames - copy
    expected = np.zeros(2)
    for video, channel in np.ndindex(2, 3):  # each has its own scale
        part = residuals[video, ..., channel]
        _, scale = KINDS[kind].fit(part.ravel(), floc=0)
        expected[video] -= KINDS[kind].logpdf(part, 0, scale).sum()
    np.testing.assert_allclose(reconstruction_loss(kind, frames, copy), expected, rtol=1e-4)
    model = CopyLast((4, 5, 3), 2, kind)
    np.testing.assert_allclose(model.reconstruction_term(frames, copy), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_prediction_stays_finite(kind, frames):
    loss = np.asarray(reconstruction_loss(kind, frames, frames))
    least = scale_of(kind, {"laplace": 1e-3, "gaussian": 1e-6}[kind])
    pixels = np.prod(SHAPE[1:])
    np.testing.assert_allclose(loss, -pixels * KINDS[kind].logpdf(0, 0, least), rtol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "l1"])
def test_a_model_has_the_scale_as_its_last_weight_and_does_not_train_it(kind):
    small = ModelConfig(
        image_size=8, channels=3, width=8, groups=2, latent_resolutions=(1,), reconstruction=kind
    )
    model = build_model(small)
    assert model.calibrated == (kind in KINDS)
    if model.calibrated:
        assert model.weights[-1] is model.likelihood.error
        assert model.weights[-1].shape == (3,)
    assert len(model.weights) == len(model.trainable_weights) + model.calibrated


def test_bce_from_logits_is_the_cross_entropy(frames, logits):
    expected = tf.keras.losses.BinaryCrossentropy(from_logits=True, reduction="none")(
        frames[..., None], logits[..., None]
    )
    np.testing.assert_allclose(
        Likelihood("bce", 3)(frames, logits), tf.reduce_sum(expected, (1, 2, 3, 4)), rtol=1e-5
    )


def test_bits_per_dimension_of_grey_levels():
    # A density of 1 has a mass of 1 / 255 per grey level. One of 255 has all mass at one level.
    assert bits_per_dimension(0.0, 10) == np.log2(255.0)
    assert bits_per_dimension(-10 * np.log(255.0), 10) == pytest.approx(0.0)


def test_an_unknown_kind_is_one_line():
    with pytest.raises(UserError, match="`kind` must be one of l1, l2, bce"):
        reconstruction_loss("x", None, None)
