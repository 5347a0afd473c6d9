"""Bootstrap intervals of figures, over videos and over seeds of training."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tfvrnn.config import require

AT_ONCE = 10_000_000  # values that are drawn at once

Statistic = Callable[..., np.ndarray]


def bootstrap_interval(
    values: ArrayLike,
    statistic: Statistic = np.mean,
    level: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the percentile bootstrap interval of a statistic of independent values.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Args:
        values: `[N]`, one per video.
        statistic: called with values `[R, N]` and `axis=-1`, returns `[R]`.
        level: share of resamples within the interval.
        resamples: draws of N values with replacement.
        seed: of the draws.

    Returns:
        (lower end, upper end). If N is 1, both are the value itself.

    Raises:
        UserError: no values, more than one dimension, a level outside 0 to 1, no resamples.
    """
    require(resamples >= 1, "`resamples` must be at least 1.", resamples)
    values = np.asarray(values, np.float64)
    require(values.ndim == 1 and len(values) > 0, "`values` must be [N].", values.shape)
    rng, rows = np.random.default_rng(seed), max(1, AT_ONCE // len(values))
    found = [
        statistic(values[rng.integers(0, len(values), (size, len(values)))], axis=-1)
        for begin in range(0, resamples, rows)
        for size in [min(rows, resamples - begin)]
    ]
    return _percentiles(np.concatenate(found), level)


def interval_of_mean(values: np.ndarray) -> list[float]:
    """Compute the `bootstrap_interval` of the mean over videos of values `[V]` or `[V, ...]`."""
    require(len(values) > 0, "`values` must be of one video at least.", len(values))
    by_video = np.asarray(values, np.float64).reshape(len(values), -1).mean(axis=1)
    return list(bootstrap_interval(by_video))


def interquartile_mean(values: ArrayLike, axis: int | None = None) -> np.ndarray:
    """Compute the mean of the values without the lowest and the highest quarter.

    This cuts off `int(N / 4)` of N values at each end, as `scipy.stats.trim_mean(values, 0.25)`
    does.

    Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", 2021.

    Args:
        values: of any shape.
        axis: the axis to average over; None: all.
    """
    values = np.asarray(values, np.float64)
    if axis is None:
        values, axis = values.reshape(-1), 0
    values = np.moveaxis(np.sort(values, axis=axis), axis, -1)
    cut = values.shape[-1] // 4
    return values[..., cut : values.shape[-1] - cut].mean(axis=-1)


def stratified_bootstrap(
    scores: ArrayLike,
    statistic: Statistic = interquartile_mean,
    level: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Compute a statistic over seeds of training, with its percentile interval.

    Runs are drawn with replacement within each task, independently of other tasks, as rliable
    does. So three seeds of two datasets are six scores of two strata.

    Source: same as `interquartile_mean`.

    Args:
        scores: `[runs]`, or `[runs, tasks]`.
        statistic: called with scores `[R, runs * tasks]` and `axis=-1`, returns `[R]`.
        level, resamples, seed: same as for `bootstrap_interval`.

    Returns:
        (statistic of the scores, lower end, upper end).

    Raises:
        UserError: no scores, or another shape.
    """
    scores = np.asarray(scores, np.float64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    rule = "`scores` must be [runs] or [runs, tasks]."
    require(scores.ndim == 2 and scores.size > 0, rule, scores.shape)
    rng, runs = np.random.default_rng(seed), len(scores)
    drawn = [task[rng.integers(0, runs, (resamples, runs))] for task in scores.T]
    low, high = _percentiles(statistic(np.concatenate(drawn, axis=1), axis=-1), level)
    return float(statistic(scores.reshape(-1), axis=-1)), low, high


def _percentiles(found: np.ndarray, level: float) -> tuple[float, float]:
    require(0 < level < 1, "`level` must lie between 0 and 1.", level)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
