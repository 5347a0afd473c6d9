"""Figures with intervals, from features and from values of pairs."""

from collections.abc import Callable

import numpy as np

from tfvrnn import metrics
from tfvrnn.measurement.parts import Arrays

NORMAL_95 = 1.959964  # deviations around the mean that hold 95 % of a normal distribution
LEAST_FOR_HALVES = 4  # clips per side, so that a half has two
FRAME_MEASURES = ("ssim", "psnr", "lpips")


def distances(real: np.ndarray, generated: np.ndarray, subsets: int, seed: int) -> dict:
    """Compute FVD, KVD and FVD-infinity of features.

    The deviation of FVD and KVD is taken over random halves of both sides, drawn without
    replacement. This is the delete-half jackknife. It estimates the standard error with all
    clips, without rescaling. The interval is the distance of all clips, plus
    and minus 1.96 deviations. It says what other clips of the same two sources would give. It does
    not remove the bias of few clips.

    Args:
        real, generated: float `[N, D]` and `[M, D]`.
        subsets: number of random halves.
        seed: of the draws.

    Returns:
        fvd, kvd: {value, deviation, interval, subsets, real, generated}. The last two are numbers
        of clips. Deviation and interval are None for fewer than 4 clips of a side. fvd_infinity:
        {value, real, generated}. Figures that were not measured are None.
    """
    counts = {"real": len(real), "generated": len(generated)}
    if min(counts.values()) < 2:
        return dict.fromkeys(("fvd", "kvd", "fvd_infinity"))
    functions = {"fvd": metrics.frechet_distance, "kvd": metrics.blockwise_kernel_distance}
    found: dict = {
        name: {"value": distance(real, generated)}
        | _over_halves(distance, real, generated, subsets, seed)
        | {"subsets": subsets, **counts}
        for name, distance in functions.items()
    }
    for figure in found.values():
        if figure["deviation"] is not None:
            reach = NORMAL_95 * figure["deviation"]
            figure["interval"] = [figure["value"] - reach, figure["value"] + reach]
    found["fvd_infinity"] = None
    if min(counts.values()) >= metrics.LEAST_FOR_INFINITY:
        value = metrics.frechet_infinity(real, generated, seed=seed)
        found["fvd_infinity"] = {"value": value, **counts}
    return found


def _over_halves(
    distance: Callable, real: np.ndarray, generated: np.ndarray, subsets: int, seed: int
) -> dict:
    if min(len(real), len(generated)) < LEAST_FOR_HALVES:
        return {"deviation": None, "interval": None}
    rng = np.random.default_rng(seed)
    values = []
    for n in range(subsets):
        # Take the smaller and the larger half of an odd number in turn. Their errors cancel.
        halves = [rng.permutation(side)[: (len(side) + n % 2) // 2] for side in (real, generated)]
        values.append(distance(*halves))
    return {"deviation": float(np.std(values, ddof=1)), "interval": None}


def of_pairs(values: Arrays, seed: int) -> dict:
    """Compute the figures of the pairs, over videos.

    Returns:
        ssim, psnr, lpips: {best, mean, worst: {mean, deviation (over videos), interval (bootstrap
        over videos, 95 %), curve (by frame)}}. Best and worst sample are chosen by their mean over
        time. Figures that were not measured are None.
    """
    figures: dict = dict.fromkeys(FRAME_MEASURES)
    for name, values_VST in values.items():
        chosen = metrics.chosen_samples(values_VST, name in metrics.LOWER_IS_BETTER)
        figures[name] = {choice: _of_videos(curves, seed) for choice, curves in chosen.items()}
    return figures


def _of_videos(curves_VT: np.ndarray, seed: int) -> dict:
    means = curves_VT.mean(axis=1, dtype=np.float64)
    return {
        "mean": float(means.mean()),
        "deviation": float(means.std()),
        "interval": list(metrics.bootstrap_interval(means, seed=seed)),
        "curve": [float(value) for value in curves_VT.mean(axis=0, dtype=np.float64)],
    }
