import subprocess
import sys
import types

import numpy as np
import pytest
from scipy.linalg import sqrtm

from tfvrnn.metrics import FeatureStatistics, frechet, frechet_distance, kernel_distance
from tfvrnn.metrics.frechet import frechet_infinity


def reference(real, generated):
    """Compute |m - m'|^2 + Tr(S + S' - 2 (S S')^(1/2)) by SciPy."""
    covariances = [np.cov(x, rowvar=False) for x in (real, generated)]
    means = np.sum((real.mean(0) - generated.mean(0)) ** 2)
    root = sqrtm(covariances[0] @ covariances[1])
    return means + np.trace(covariances[0] + covariances[1] - 2 * np.real(root))


def features(rng, number, dimensions, shift=0.0):
    mixing = rng.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
    return (rng.normal(size=(number, dimensions)) @ mixing + shift).astype(np.float32)


@pytest.mark.parametrize("number", [200, 20], ids=["more_than_dimensions", "fewer"])
def test_the_distance_is_scipys(rng, number):
    real, generated = features(rng, number, 40), features(rng, number + 5, 40, 0.3)
    np.testing.assert_allclose(
        frechet_distance(real, generated), reference(real, generated), rtol=1e-5
    )


@pytest.mark.parametrize("number", [200, 20], ids=["more_than_dimensions", "fewer"])
def test_streaming_is_in_memory(rng, number):
    real, generated = features(rng, number, 40, 5.0), features(rng, number + 5, 40, 5.3)
    streams = []
    for whole in (real, generated):
        streams.append(FeatureStatistics(40))
        for k in range(0, number + 5, 7):
            streams[-1].update(whole[k : k + 7]) if len(whole[k : k + 7]) else None
    np.testing.assert_allclose(
        streams[0].frechet_distance(streams[1]), frechet_distance(real, generated), rtol=1e-6
    )


@pytest.mark.parametrize("scale", [1e3, 1e-3, 1e-6])
def test_the_distance_grows_with_the_square_of_the_features(rng, scale):
    """TF-GAN takes no root of small singular values."""
    real, generated = features(rng, 200, 40), features(rng, 200, 40, 0.3)
    expected = frechet_distance(real, generated) * scale**2
    scaled = [scale * np.float64(x) for x in (real, generated)]
    np.testing.assert_allclose(frechet_distance(*scaled), expected, rtol=1e-6)
    streams = [FeatureStatistics(40), FeatureStatistics(40)]
    for stream, whole in zip(streams, scaled):
        stream.update(whole)
    np.testing.assert_allclose(streams[0].frechet_distance(streams[1]), expected, rtol=1e-6)
    assert abs(frechet_distance(scaled[0], scaled[0])) < 1e-4 * expected


def test_features_that_never_change_have_only_means(rng):
    assert frechet_distance(np.zeros((5, 4)), np.ones((5, 4))) == pytest.approx(4.0)


def test_a_set_against_itself_is_zero(rng):
    for number in (200, 20):
        real = features(rng, number, 40)
        assert abs(frechet_distance(real, real)) < 1e-3


def test_the_kernel_distance_is_the_unbiased_mmd(rng):
    real, generated = features(rng, 30, 10).astype(float), features(rng, 25, 10, 0.5).astype(float)

    def kernel(x, y):
        return (x @ y.T / 10 + 1) ** 3

    def within(x):
        return (kernel(x, x).sum() - np.trace(kernel(x, x))) / (len(x) * (len(x) - 1))

    expected = within(real) + within(generated) - 2 * kernel(real, generated).mean()
    np.testing.assert_allclose(kernel_distance(real, generated), expected, rtol=1e-6)


def test_at_infinity_the_bias_is_gone(rng):
    real, generated = rng.normal(size=(400, 20)), rng.normal(size=(400, 20))
    biased = frechet_distance(real, generated)
    assert biased > 0.5
    assert abs(frechet_infinity(real, generated)) < 0.35 * biased
    assert frechet_infinity(real, generated) == frechet_infinity(real, generated)


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (np.zeros((1, 4)), "at least 2"),
        (np.zeros((5, 4, 1)), "must be"),
        (np.zeros((5, 3)), r"`generated` must be \[N, 3\]. Received: \(5, 4\)"),
        (np.full((5, 4), np.nan), "finite"),
    ],
)
def test_wrong_features_are_refused(real, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(real, np.zeros((5, 4)))
    with pytest.raises(ValueError, match=message):
        kernel_distance(real, np.zeros((5, 4)))
    with pytest.raises(ValueError):
        FeatureStatistics(4).frechet_distance(FeatureStatistics(4))
    with pytest.raises(ValueError, match="of one length"):
        FeatureStatistics(4).frechet_distance(FeatureStatistics(3))


@pytest.mark.thorough
def test_no_stub_of_tfgan_is_left_behind():
    program = (
        "import sys; from tfvrnn.metrics import frechet;"
        "module = frechet.classifier_metrics();"
        "assert module.__file__.endswith('classifier_metrics.py');"
        "assert not [name for name in sys.modules if name.startswith('tensorflow_gan')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_tfgan_that_imports_is_used_plainly(monkeypatch):
    whole = types.ModuleType(frechet.CLASSIFIER_METRICS)
    for package in frechet.PACKAGES:
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setitem(sys.modules, frechet.CLASSIFIER_METRICS, whole)
    assert frechet.classifier_metrics.__wrapped__() is whole
    assert sys.modules[frechet.CLASSIFIER_METRICS] is whole


@pytest.mark.parametrize("scales", [[1, 1, 1, 1, 1e3], [1e-2, 1, 1, 1, 30], [1e-3, 1e-2, 1e-4]])
@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_features_of_unequal_scales(rng, scales, factor):
    real = rng.normal(size=(200, len(scales))) * scales
    generated = factor * real
    # Of the same axes, so that the root of the product is a multiple of the covariance.
    trace, mean = np.trace(np.cov(real.T)), real.mean(axis=0)
    expected = (factor - 1) ** 2 * (trace + mean @ mean)
    close = {"rel": 1e-3, "abs": 1e-7 * trace}
    assert frechet_distance(real, generated) == pytest.approx(expected, **close)
    ours, theirs = FeatureStatistics(len(scales)), FeatureStatistics(len(scales))
    ours.update(real)
    theirs.update(generated)
    assert ours.frechet_distance(theirs) == pytest.approx(expected, **close)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e5, 1e9, 1e80])
def test_features_of_any_scale(rng, scale):
    real, generated = rng.normal(size=(2, 50, 3))
    expected = scale**2 * frechet_distance(real, generated)
    assert frechet_distance(scale * real, scale * generated) == pytest.approx(expected, rel=1e-6)


def test_constant_features_have_the_distance_of_their_means():
    ours, theirs = FeatureStatistics(3), FeatureStatistics(3)
    ours.update(np.full((7, 3), 1 / 3))
    theirs.update(np.full((7, 3), 1.0))
    assert ours.frechet_distance(theirs) == pytest.approx(4 / 3)


def test_a_line_needs_two_points(rng):
    with pytest.raises(ValueError, match=r"`points` must be at least 2\. Received: 1"):
        frechet_infinity(rng.normal(size=(8, 2)), rng.normal(size=(8, 2)), points=1)
