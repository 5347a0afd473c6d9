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


def test_kl_of_gaussians_that_almost_agree_is_not_negative_and_exact(rng):
    mean, variance = np.zeros(10_000, np.float32), rng.uniform(1e-6, 3.0, 10_000)
    q = DiagonalGaussian(mean, variance.astype(np.float32))
    p = DiagonalGaussian(mean, (variance * (1 + rng.normal(0, 1e-4, 10_000))).astype(np.float32))
    r = np.log(q.variance.astype(np.float64)) - np.log(p.variance.astype(np.float64))
    found = q.kl_divergence(p).numpy()
    assert found.min() > -1e-10
    np.testing.assert_allclose(found, 0.5 * (np.expm1(r) - r), atol=2e-9)


def test_kl_stays_finite_where_a_variance_is_at_its_minimum():
    tiny, wide = (
        DiagonalGaussian(np.zeros(1, np.float32), np.full(1, v, np.float32)) for v in (1e-6, 1e4)
    )
    np.testing.assert_allclose(tiny.kl_divergence(wide), [0.5 * (np.log(1e10) - 1)], rtol=1e-5)
    np.testing.assert_allclose(wide.kl_divergence(tiny), [0.5e10], rtol=1e-5)


def test_samples_have_the_mean_and_variance(rng):
    p = gaussian(rng)
    x = np.asarray(p.sample(rng.normal(size=(200_000, 5)).astype(np.float32)))
    np.testing.assert_allclose(x.mean(axis=0), p.mean, atol=0.02)
    np.testing.assert_allclose(x.var(axis=0), p.variance, rtol=0.02)


def test_the_initial_variance_is_that_of_a_raw_value_of_zero():
    for variance in (0.05, 1.0, 3.0):
        p = DiagonalGaussian.from_raw(tf.zeros((1, 2)), variance)
        np.testing.assert_allclose(p.variance, [[variance + 1e-6]], rtol=1e-6)


def test_from_raw_is_softplus_plus_a_minimum_in_float32():
    raw = tf.constant([[1.0, -2.0, 0.5, -60.0]], tf.bfloat16)
    p = DiagonalGaussian.from_raw(raw)
    assert p.mean.dtype == p.variance.dtype == tf.float32
    np.testing.assert_allclose(p.mean, [[1.0, -2.0]])
    np.testing.assert_allclose(p.variance, [[np.log1p(np.exp(0.5)) + 1e-6, 1e-6]], rtol=1e-6)
