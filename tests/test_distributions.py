import numpy as np
import tensorflow as tf

from tfvrnn.distributions import DiagonalGaussian


def gaussian(rng, size=5):
    mean = rng.normal(size=size).astype(np.float32)
    return DiagonalGaussian(mean, rng.uniform(0.2, 3.0, size).astype(np.float32))


def log_density(p, x):
    return -0.5 * (np.log(2 * np.pi * p.variance) + (x - p.mean) ** 2 / p.variance)


def test_kl_matches_monte_carlo(rng):
    q, p = gaussian(rng), gaussian(rng)
    x = np.asarray(q.sample(rng.normal(size=(400_000, 5)).astype(np.float32)))
    ratios = log_density(q, x) - log_density(p, x)
    error = ratios.std(axis=0) / np.sqrt(len(ratios))
    assert np.all(np.abs(ratios.mean(axis=0) - q.kl_divergence(p)) < 4.5 * error)


def test_kl_matches_scipy_free_closed_form_and_is_zero_of_itself(rng):
    q, p = gaussian(rng), gaussian(rng)
    sq, sp = np.sqrt(q.variance), np.sqrt(p.variance)
    expected = np.log(sp / sq) + (q.variance + (q.mean - p.mean) ** 2) / (2 * p.variance) - 0.5
    np.testing.assert_allclose(q.kl_divergence(p), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(q.kl_divergence(q), 0.0, atol=1e-6)


def test_samples_have_the_mean_and_variance(rng):
    p = gaussian(rng)
    x = np.asarray(p.sample(rng.normal(size=(200_000, 5)).astype(np.float32)))
    np.testing.assert_allclose(x.mean(axis=0), p.mean, atol=0.02)
    np.testing.assert_allclose(x.var(axis=0), p.variance, rtol=0.02)


def test_from_raw_is_softplus_plus_a_minimum_in_float32():
    raw = tf.constant([[1.0, -2.0, 0.5, -60.0]], tf.bfloat16)
    p = DiagonalGaussian.from_raw(raw)
    assert p.mean.dtype == p.variance.dtype == tf.float32
    np.testing.assert_allclose(p.mean, [[1.0, -2.0]])
    np.testing.assert_allclose(p.variance, [[np.log1p(np.exp(0.5)) + 1e-6, 1e-6]], rtol=1e-6)
