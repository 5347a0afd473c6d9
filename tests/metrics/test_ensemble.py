import numpy as np
import pytest

from tfvrnn.metrics import (
    Ensemble,
    coverage,
    rank_counts,
    rank_histogram,
    spread_to_error,
    unevenness,
)


def of_pool(pool):
    """Make one-frame videos: each member of the pool is the truth in turn, the others are samples.

    So every member is exactly as likely to be the truth.
    """
    others = np.stack([np.delete(pool, k, axis=0) for k in range(len(pool))])
    return pool[:, None], others[:, :, None]


def measured(truth, samples):
    ensemble = Ensemble(truth)
    ensemble.add(samples[:, :2])
    ensemble.add(samples[:, 2:])
    return ensemble.measured()


def figures(found, samples):
    counts = found["ranks"].sum(axis=(0, 1))
    histogram = rank_histogram(counts)
    ratio = spread_to_error(found["variance"].mean(), found["squared_error"].mean(), samples)
    return histogram, float(coverage(counts)), float(ratio)


@pytest.mark.parametrize("levels", [256, 3])  # few grey levels: many samples equal the truth
def test_an_ideal_ensemble_is_calibrated_exactly(rng, levels):
    truth, samples = of_pool(rng.integers(0, levels, (6, 4, 4, 3), np.uint8))
    histogram, covered, ratio = figures(measured(truth, samples), 5)
    np.testing.assert_allclose(histogram, 1 / 6, rtol=1e-5)
    np.testing.assert_allclose([covered, ratio], [4 / 6, 1], rtol=1e-5)
    assert unevenness(histogram) < 1e-5


def test_an_ensemble_drawn_as_the_truth_is_flat_within_chance(rng):
    drawn = rng.normal(128, 20, (40, 20, 1, 8, 8, 1)).round().astype(np.uint8)
    histogram, covered, ratio = figures(measured(drawn[:, 0], drawn[:, 1:]), 19)
    assert len(histogram) == 10 and histogram.sum() == pytest.approx(1)
    deviation = np.sqrt(0.1 * 0.9 / (40 * 64))
    assert np.abs(histogram - 0.1).max() < 4 * deviation
    assert covered == pytest.approx(18 / 20, abs=0.02) and ratio == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize(
    ("scale", "shift", "shape"),
    [(0.3, 0, "narrow"), (3.0, 0, "wide"), (1.0, 30, "too bright"), (1.0, -30, "too dark")],
)
def test_what_is_not_calibrated_shows_how(rng, scale, shift, shape):
    truth = rng.normal(128, 10, (20, 1, 8, 8, 1)).astype(np.uint8)
    samples = rng.normal(128 + shift, 10 * scale, (20, 9, 1, 8, 8, 1)).astype(np.uint8)
    histogram, covered, ratio = figures(measured(truth, samples), 9)
    ends, middle = histogram[[0, -1]], histogram[1:-1].max()
    if shape == "narrow":
        assert ends.min() > 2 * middle and covered < 0.5 and ratio < 0.5
    elif shape == "wide":
        assert ends.max() < 0.5 * middle and covered > 0.95 and ratio > 2
    else:
        assert histogram.argmax() == (0 if shape == "too bright" else 9)
        assert histogram.max() > 0.8 and covered < 0.3 and ratio < 0.5
    assert unevenness(histogram) > 0.5


def test_ranks_are_shared_out_over_equal_samples_and_pixels_without_doubt_left_out():
    below, equal = np.array([[[0, 2, 1, 0]]]), np.array([[[0, 0, 1, 2]]])
    counts = rank_counts(below, equal, 2)
    np.testing.assert_array_equal(counts, [[[1, 0.5, 1.5]]])  # the last is equal to both samples
    assert coverage(counts)[0, 0] == pytest.approx(0.5 / 3)
    nothing = rank_counts(np.zeros((1, 1, 4), int), np.full((1, 1, 4), 2), 2)
    np.testing.assert_array_equal(nothing, np.zeros((1, 1, 3)))
    np.testing.assert_array_equal(rank_histogram(nothing), np.full((1, 1, 3), 1 / 3))
    assert coverage(nothing)[0, 0] == pytest.approx(1 / 3)


def test_more_ranks_than_bins_are_split_by_their_share():
    np.testing.assert_allclose(rank_histogram(np.ones(25)), np.full(10, 0.1))
    counts = np.zeros(15)
    counts[1] = 3.0  # from 1 to 2 of 15: the first bin ends at 1.5
    np.testing.assert_allclose(rank_histogram(counts)[:3], [0.5, 0.5, 0])


def test_two_samples_by_hand_and_one_has_no_calibration():
    truth = np.full((1, 1, 1, 1, 1), 51, np.uint8)
    samples = np.array([0, 51], np.uint8).reshape(1, 2, 1, 1, 1, 1)
    found = measured(truth, samples)
    values = [float(found[name].item()) for name in ("spread", "variance", "squared_error")]
    np.testing.assert_allclose(values, [0.1, 0.02, 0.01], rtol=1e-12)  # samples 0, 0.2, truth 0.2
    np.testing.assert_array_equal(found["ranks"], [[[0, 0.5, 0.5]]])
    assert spread_to_error(0.02, 0.01, 2) == pytest.approx(3**0.5)
    alone = Ensemble(truth)
    alone.add(samples[:, :1])
    found = alone.measured()
    assert list(found) == ["spread"]
    assert found["spread"] == 0
