import numpy as np
import pytest

from tfvrnn import metrics
from tfvrnn.measurement.figures import _over_halves, distances, of_pairs


@pytest.mark.thorough
def test_the_deviation_over_halves_is_that_of_fresh_samples():
    """The delete-half jackknife, not rescaled, is the deviation of the distance of all clips."""
    rng = np.random.default_rng(0)

    def draw():
        return rng.normal(size=(200, 3)), rng.normal(0.5, 1.2, size=(200, 3))

    fresh = [metrics.frechet_distance(*draw()) for _ in range(60)]
    found = [distances(*draw(), subsets=20, seed=n)["fvd"]["deviation"] for n in range(4)]
    # The deviation of 60 draws is known to a tenth, and so is the mean of four of twenty subsets.
    assert 0.7 < np.mean(found) / np.std(fresh) < 1.4


def test_the_interval_lies_around_the_distance_of_all(rng):
    real, generated = rng.normal(size=(12, 3)), rng.normal(size=(10, 3))
    found = distances(real, generated, subsets=5, seed=1)
    for name, distance in (
        ("fvd", metrics.frechet_distance),
        ("kvd", metrics.kernel_distance),
    ):
        figure = found[name]
        np.testing.assert_allclose(figure["value"], distance(real, generated), rtol=1e-9)
        low, high = figure["interval"]
        np.testing.assert_allclose((low + high) / 2, figure["value"], rtol=1e-9)
        np.testing.assert_allclose(high - low, 2 * 1.959964 * figure["deviation"], rtol=1e-9)
        assert (figure["real"], figure["generated"], figure["subsets"]) == (12, 10, 5)
    assert found["fvd_infinity"]["value"] == metrics.frechet_infinity(real, generated, seed=1)
    assert distances(real, generated, 5, 1) == found != distances(real, generated, 5, 2)


@pytest.mark.parametrize("number", [5, 8, 9])
def test_the_deviation_is_right_for_few_clips_odd_or_even(number):
    """The standard error of a mean of normal numbers is 1 / sqrt(N)."""

    def mean(real, generated):
        return float(np.mean(real))

    sides = [np.random.default_rng(n).normal(size=number) for n in range(200)]
    found = [_over_halves(mean, side, side, 40, n)["deviation"] for n, side in enumerate(sides)]
    error = np.sqrt(np.mean(np.square(found)) * number)
    assert 0.93 < error < 1.1  # 200 draws of 5 numbers: a deviation of 0.025


@pytest.mark.parametrize(("number", "interval"), [(1, None), (2, False), (3, False), (4, True)])
def test_few_clips_have_no_interval(rng, number, interval):
    found = distances(rng.normal(size=(number, 2)), rng.normal(size=(9, 2)), 3, 0)["fvd"]
    assert (found is None) if interval is None else (found["interval"] is not None) == interval


def test_best_is_lowest_for_lpips():
    values = np.array([[[1.0, 3.0], [4.0, 4.0]], [[5.0, 7.0], [0.0, 0.0]]])
    found = of_pairs({"lpips": values, "ssim": values}, seed=0)
    assert found["lpips"]["best"]["curve"] == [0.5, 1.5]
    assert found["ssim"]["best"]["mean"] == 5.0 and found["psnr"] is None
    assert found["ssim"]["best"]["interval"] == [4.0, 6.0]
