"""The figures of a table, from the measures of every video."""

from typing import Any

import numpy as np

from tfvrnn import metrics
from tfvrnn.evaluation.stochastic import calibration, given_latents
from tfvrnn.models import ACTIVE_NATS
from tfvrnn.models.reconstruction import bits_per_dimension

FRAME_MEASURES = ("ssim", "psnr", "lpips")


def summarize(
    measured: dict[str, np.ndarray],
    counted_frames: int,
    seed: int = 0,
    density_dimensions: int | None = None,
    futures: int = 2,
) -> dict:
    """Summarise the measures of all videos.

    Args:
        measured: {name: array}, as `Measures` returns them, with all videos on the first axis.
        counted_frames: from `VideoPredictor.counted_frames`, for the horizon.
        seed: of the subsets of FVD-infinity.
        density_dimensions: pixels times channels of a frame, if the reconstruction term is a log
            density.
        futures: number of futures asked for, per context. One has no spread to measure.

    Returns:
        The figures by name. Those that were not measured are None. All intervals are of 95 %, by
        the bootstrap over videos.

        - ssim, psnr, lpips: {best, mean, worst: {mean, deviation and interval (over videos), curve
          (by time step)}}. Best and worst sample are chosen by their mean over time.
        - fvd, kvd, fvd_infinity: {mean, deviation (over repeats), values, videos}.
        - spread: {mean, interval, curve}.
        - reconstruction, kl: of the model's own loss, per frame, the KL in nats.
        - bits_per_dimension: of the negative ELBO, if the reconstruction is a log density.
        - intervals: {reconstruction, kl, bits_per_dimension: (low, high)}.
        - levels: {resolution: {nats (per frame), active (channels above `ACTIVE_NATS`), channels}}.
        - given_latents, calibration: see `tfvrnn.evaluation.stochastic`.
    """
    figures: dict[str, Any] = {
        name: _of_samples(measured[name], name in metrics.LOWER_IS_BETTER)
        if name in measured
        else None
        for name in FRAME_MEASURES
    }
    figures |= _distances(measured, seed)
    figures["spread"] = _spread(measured["spread"]) if futures > 1 else None
    figures |= _of_loss(measured, counted_frames, density_dimensions)
    figures["given_latents"] = given_latents(measured, FRAME_MEASURES)
    figures["calibration"] = calibration(measured)
    return figures


def _spread(spread_VT) -> dict:
    return {
        "mean": float(spread_VT.mean()),
        "interval": metrics.interval_of_mean(spread_VT),
        "curve": _list(spread_VT.mean(axis=0)),
    }


def _of_loss(measured, counted_frames, density_dimensions) -> dict:
    levels = sorted(int(n.removeprefix("kl_")) for n in measured if n.startswith("kl_"))
    nats = {level: float(measured[f"kl_{level}"].mean() / counted_frames) for level in levels}
    reconstruction = float(measured["reconstruction"].mean() / counted_frames)
    kl, bits, ends = sum(nats.values()), None, {}
    terms = measured["reconstruction"] / counted_frames
    divergences = sum(measured[f"kl_{r}"] for r in levels) / counted_frames + np.zeros_like(terms)
    ends["reconstruction"] = metrics.interval_of_mean(terms)
    ends["kl"] = metrics.interval_of_mean(divergences)
    if density_dimensions:
        bits = bits_per_dimension(reconstruction + kl, density_dimensions)
        both = metrics.interval_of_mean(terms + divergences)
        ends["bits_per_dimension"] = [bits_per_dimension(x, density_dimensions) for x in both]
    return {
        "reconstruction": reconstruction,
        "kl": kl,
        "bits_per_dimension": bits,
        "intervals": ends,
        "levels": {str(r): _level(nats[r], measured.get(f"channels_{r}")) for r in levels},
    }


def _of_samples(values_VST, lower_is_better):
    curves = metrics.chosen_samples(values_VST, lower_is_better)
    return {
        name: {
            "mean": float(curves[name].mean()),
            "deviation": float(curves[name].mean(axis=1).std()),
            "interval": metrics.interval_of_mean(curves[name]),
            "curve": _list(curves[name].mean(axis=0)),
        }
        for name in curves
    }


def _distances(measured, seed):
    names = {
        "fvd": metrics.frechet_distance,
        "kvd": metrics.kernel_distance,
        "fvd_infinity": lambda real, one: metrics.frechet_infinity(real, one, seed=seed),
    }
    if "generated" not in measured:
        return dict.fromkeys(names)
    real, generated = measured["real"], measured["generated"].swapaxes(0, 1)
    figures = {}
    for name, distance in names.items():
        if name == "fvd_infinity" and len(real) < metrics.LEAST_FOR_INFINITY:
            figures[name] = None
            continue
        values = [distance(real, one) for one in generated]
        figures[name] = {
            "mean": float(np.mean(values)),
            "deviation": float(np.std(values)),
            "values": values,
            "videos": len(real),
        }
    return figures


def _level(nats, channels):
    active = None if channels is None else int(np.sum(channels.mean(axis=0) > ACTIVE_NATS))
    return {
        "nats": nats,
        "active": active,
        "channels": None if channels is None else channels.shape[1],
    }


def _list(values) -> list[float]:
    return [float(value) for value in values]
