import numpy as np
import pytest
from scipy import stats

from tfvrnn.config import UserError
from tfvrnn.metrics import bootstrap_interval, interquartile_mean, intervals, stratified_bootstrap

SCIPYS = {"method": "percentile", "n_resamples": 500, "vectorized": True}


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_the_interval_is_scipys(rng, statistic):
    values = rng.gamma(2.0, size=40)
    found = bootstrap_interval(values, statistic, 0.9, resamples=500, seed=3)
    theirs = stats.bootstrap(
        (values,), statistic, confidence_level=0.9, rng=np.random.default_rng(3), **SCIPYS
    )
    np.testing.assert_allclose(found, theirs.confidence_interval, rtol=1e-12)


def test_what_is_drawn_at_once_does_not_matter(rng, monkeypatch):
    values = rng.normal(size=30)
    whole = bootstrap_interval(values, resamples=100)
    monkeypatch.setattr(intervals, "AT_ONCE", 7 * 30)
    assert bootstrap_interval(values, resamples=100) == whole


def test_the_interval_holds_the_mean_as_often_as_it_says():
    rng, held = np.random.default_rng(1), 0
    for number in range(400):
        low, high = bootstrap_interval(rng.normal(size=60), resamples=300, seed=number)
        held += low <= 0 <= high
    assert 0.91 <= held / 400 <= 0.98  # 0.95 within three deviations, 0.033


def test_one_video_has_an_interval_of_no_width():
    assert bootstrap_interval([3.0]) == (3.0, 3.0)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 8, 11])
def test_the_interquartile_mean_is_scipys_trimmed_mean(rng, number):
    values = rng.normal(size=(number, 3))
    np.testing.assert_allclose(
        interquartile_mean(values), stats.trim_mean(values, 0.25, axis=None), rtol=1e-12
    )
    np.testing.assert_allclose(
        interquartile_mean(values, axis=0), stats.trim_mean(values, 0.25, axis=0), rtol=1e-12
    )


def test_runs_are_drawn_within_each_task(rng):
    scores = rng.normal([0.0, 10.0, 20.0], size=(5, 3))

    def statistic(*tasks, axis):
        return interquartile_mean(np.concatenate(np.broadcast_arrays(*tasks), axis), axis)

    value, *found = stratified_bootstrap(scores, resamples=500, seed=4)
    theirs = stats.bootstrap(
        tuple(scores.T), statistic, rng=np.random.default_rng(4), confidence_level=0.95, **SCIPYS
    )
    np.testing.assert_allclose(found, theirs.confidence_interval, rtol=1e-12)
    assert value == interquartile_mean(scores) and found[0] < value < found[1]
    # Tasks lie far apart, but runs agree, so no deviation is left.
    assert stratified_bootstrap([[1.0, 5.0]] * 4, np.mean) == (3.0, 3.0, 3.0)


def test_one_task_is_the_plain_bootstrap(rng):
    scores = rng.normal(size=6)
    assert stratified_bootstrap(scores, np.mean)[1:] == bootstrap_interval(scores)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([]), r"`values` must be \[N\]"),
        (lambda: bootstrap_interval(np.zeros((2, 2))), r"`values` must be \[N\]"),
        (lambda: bootstrap_interval([1.0], level=95.0), "`level` must lie between"),
        (lambda: stratified_bootstrap(np.zeros((2, 2, 2))), r"\[runs\] or \[runs, tasks\]"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_no_values_and_no_resamples_are_refused():
    with pytest.raises(UserError, match="`resamples` must be at least 1"):
        bootstrap_interval(np.arange(3.0), resamples=0)
    with pytest.raises(UserError, match="must be of one video at least"):
        intervals.interval_of_mean(np.zeros((0, 4)))
