"""Figures that show whether a model uses its latents, and whether its futures cover the truth."""

from collections.abc import Sequence

import numpy as np

from tfvrnn import metrics
from tfvrnn.evaluation.latents import GIVEN


def given_latents(measured: dict[str, np.ndarray], names: Sequence[str]) -> dict | None:
    """Summarise the measures of futures with given latents.

    Args:
        measured: the result of `Measures` for all videos.
        names: names of the measures per frame, such as 'psnr'.

    Returns:
        {videos, measure: {'prior' and each of `GIVEN`: {mean, interval (over videos), curve (by
        time step), below_posterior: {mean, interval} of the differences per video}}}. 'prior' is
        the mean over the prior's samples. None for a model without latents.
    """
    found: dict = {name: measured[f"given_{name}"] for name in names if f"given_{name}" in measured}
    if not found:
        return None
    for name, values_VGT in found.items():
        curves: dict[str, np.ndarray] = dict(zip(GIVEN, values_VGT.swapaxes(0, 1)))
        curves["prior"] = measured[name][: len(values_VGT)].mean(axis=1)
        found[name] = {choice: _choice(curves[choice], curves) for choice in ("prior", *GIVEN)}
        videos = len(values_VGT)
    return {"videos": videos, **found}


def _choice(curve_VT, curves):
    means = curve_VT.mean(axis=1, dtype=np.float64)
    behind = curves["posterior"].mean(axis=1, dtype=np.float64) - means
    return {
        "mean": float(means.mean()),
        "interval": metrics.interval_of_mean(means),
        "curve": _list(curve_VT.mean(axis=0, dtype=np.float64)),
        "below_posterior": {
            "mean": float(behind.mean()),
            "interval": metrics.interval_of_mean(behind),
        },
    }


def calibration(measured: dict[str, np.ndarray]) -> dict | None:
    """Summarise how well the samples of each pixel cover the truth.

    Args:
        measured: the result of `Measures` for all videos.

    Returns:
        {videos, samples, coverage, spread_to_error: {mean, interval (over videos), curve (by time
        step), ideal}, ranks: {histogram, ideal, unevenness, curve (of the unevenness)}}. None if
        each video has only one sample.
    """
    if "ranks" not in measured:
        return None
    ranks_VTR, samples = measured["ranks"], measured["ranks"].shape[-1] - 1
    squares_VT2 = np.stack([measured["variance"], measured["squared_error"]], axis=-1)
    histogram = metrics.rank_histogram(ranks_VTR.sum(axis=(0, 1), dtype=np.float64))
    by_time = metrics.rank_histogram(ranks_VTR.sum(axis=0, dtype=np.float64))

    def spread_to_error(squares):
        return metrics.spread_to_error(squares[..., 0], squares[..., 1], samples)

    ideal = (samples - 1) / (samples + 1)
    return {
        "videos": len(ranks_VTR),
        "samples": samples,
        "coverage": _of_sums(metrics.coverage, ranks_VTR) | {"ideal": ideal},
        "spread_to_error": _of_sums(spread_to_error, squares_VT2) | {"ideal": 1.0},
        "ranks": {
            "histogram": _list(histogram),
            "ideal": 1 / len(histogram),
            "unevenness": float(metrics.unevenness(histogram)),
            "curve": _list(metrics.unevenness(by_time)),
        },
    }


def _of_sums(statistic, parts_VTD) -> dict:
    """Apply a statistic, `[..., D]` to `[...]`, to sums over videos, in all and per frame."""
    sums_VD = parts_VTD.sum(axis=1, dtype=np.float64)

    def of_drawn(videos_RN, axis):
        videos_RN = videos_RN.astype(int)
        rows = np.arange(len(videos_RN))[:, None] * len(sums_VD)
        times = np.bincount((rows + videos_RN).ravel(), minlength=len(videos_RN) * len(sums_VD))
        return statistic(times.reshape(len(videos_RN), -1) @ sums_VD)

    return {
        "mean": float(statistic(sums_VD.sum(axis=0))),
        "interval": list(metrics.bootstrap_interval(np.arange(len(sums_VD)), of_drawn)),
        "curve": _list(statistic(parts_VTD.sum(axis=0, dtype=np.float64))),
    }


def _list(values) -> list[float]:
    return [float(value) for value in values]
