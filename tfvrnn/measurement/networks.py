"""The networks that a measurement needs, and the reasons why one is missing."""

import numpy as np

from tfvrnn import metrics
from tfvrnn.config import MeasureConfig, UserError
from tfvrnn.measurement.features import PairMeasures
from tfvrnn.measurement.selection import Selection
from tfvrnn.metrics.i3d import LEAST_FRAMES


def feature_network(
    selection: Selection, settings: MeasureConfig, clips: list[int]
) -> tuple[metrics.FeatureNetwork | None, list[str]]:
    """Return (network of the FVD or None, notes).

    Args:
        selection: the clips to measure.
        settings: name the network.
        clips: numbers of clips of the sides.

    Raises:
        UserError: a network of the user's own that cannot be read.
    """
    if settings.fvd_network == "none":
        return None, []
    frames, hindrance = selection.reading.frames, ""
    if frames < LEAST_FRAMES:
        hindrance = f"I3D needs clips of {LEAST_FRAMES} frames, these have {frames}"
    elif min(clips) < 2:
        hindrance = f"they need two clips of each side, there are {clips[0]} and {clips[1]}"
    else:
        try:
            return metrics.feature_network(settings.fvd_network, settings.cache_dir), []
        except metrics.WeightsUnavailable as error:
            if settings.fvd_network != "i3d":
                raise UserError(f"--fvd_network: {error}") from None
            hindrance = str(error)
    return None, [f"FVD and KVD are not measured: {hindrance}"]


def pair_measures(
    selection: Selection, settings: MeasureConfig
) -> tuple[PairMeasures | None, list[str]]:
    """Return (measures of pairs or None, notes on those that are not measured)."""
    if not selection.pairs:
        return None, []
    reading, notes = selection.reading, []
    shape, lpips, ssim = (reading.height, reading.width, 3), None, settings.ssim
    window = metrics.SSIM_WINDOWS[ssim]
    if min(shape[:2]) < window:
        notes.append(
            f"SSIM is not measured: frames of {reading.height}x{reading.width} are smaller than "
            f"the window of --ssim={ssim}, {window}"
        )
        ssim = None
    try:
        if settings.lpips != "none":
            metrics.check_frame_size(settings.lpips, shape)  # before it is fetched
            lpips = metrics.perceptual_network(settings.lpips, settings.cache_dir)
    except (metrics.WeightsUnavailable, metrics.TooSmall) as error:
        notes.append(f"LPIPS is not measured: {error}")
    return PairMeasures(ssim, lpips), notes


def finite(features: np.ndarray, names: list[str], label: str) -> tuple[np.ndarray, list[str]]:
    """Return (the finite features, a note on the others).

    Args:
        features: `[N, D]`.
        names: of the N clips.
        label: of the side.
    """
    good = np.isfinite(features).all(axis=1)
    if good.all():
        return features, []
    lost = [names[number] for number in np.flatnonzero(~good)]
    more = f", and {len(lost) - 3:,} more" if len(lost) > 3 else ""
    note = (
        f"{label}: {len(lost):,} clips have features that are not finite, and are left out of FVD "
        f"and KVD: {', '.join(lost[:3])}{more}"
    )
    return features[good], [note]
