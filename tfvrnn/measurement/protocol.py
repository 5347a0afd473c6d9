"""The protocol: everything on which the figures of a measurement depend."""

import dataclasses
import json
import platform
from importlib import metadata
from pathlib import Path

import tfvrnn
from tfvrnn import config_flags, metrics
from tfvrnn.config import UserError
from tfvrnn.config.measure import ASIDE, MeasureConfig
from tfvrnn.measurement.features import PairMeasures
from tfvrnn.measurement.selection import Selection, samples_measured
from tfvrnn.measurement.sides import Side
from tfvrnn.measurement.statistics import Statistics
from tfvrnn.measurement.treatment import identity
from tfvrnn.metrics.frame import PSNR_OF_EQUAL_FRAMES
from tfvrnn.reporting.protocols import code_digest, differences, read_json, section

PACKAGES = ("tensorflow", "tensorflow-gan", "numpy", "pillow", "av")


def make_protocol(
    settings: MeasureConfig,
    sides: list[Side],
    selection: Selection,
    network: metrics.FeatureNetwork | None,
    measures: PairMeasures | None,
) -> dict:
    """Make the protocol that is saved beside the figures.

    Returns:
        {'settings': every choice, 'reading': how clips were read, 'sides': which they were,
        'pairs': their numbers or None, 'weights': sha256 of the networks, 'measured': which
        measures, 'versions', 'code_sha256'}, in values for JSON.
    """
    known = {one.side.label: identity(one) for one in selection.sides}
    for side in sides:
        if side.statistics:
            known[side.label] = side.statistics.protocol["side"] | {"kind": "statistics"}
    choices = config_flags.values(settings)
    pairs = selection.pairs
    protocol = {
        "settings": {name: value for name, value in choices.items() if name not in ASIDE},
        "reading": selection.reading.values(),
        "sides": known,
        "pairs": {"videos": len(pairs), "samples": samples_measured(pairs)} if pairs else None,
        "weights": {
            "fvd_sha256": network.digest if network else None,
            "lpips_sha256": measures.lpips.digest if measures and measures.lpips else None,
        },
        "measured": {
            "fvd": network is not None,
            "psnr": measures is not None,
            "ssim": bool(measures and measures.ssim),
            "lpips": bool(measures and measures.lpips),
            "psnr_of_equal_frames": PSNR_OF_EQUAL_FRAMES,
        },
        "versions": {
            "tfvrnn": tfvrnn.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "code_sha256": code_digest(),
    }
    return json.loads(json.dumps(protocol))


def read_settings(path: str | Path, cache_dir: str = "") -> MeasureConfig:
    """Read the options of an earlier measurement.

    Args:
        path: its JSON.
        cache_dir: see `MeasureConfig`.

    Raises:
        UserError: no such file, or no measurement in it.
    """
    choices = section(section(read_json(path), "protocol"), "settings")
    known = {field.name for field in dataclasses.fields(MeasureConfig)} - set(ASIDE)
    if not choices or not set(choices) <= known:
        raise UserError(f"{path} holds no protocol of a measurement")
    try:
        return MeasureConfig(**choices, cache_dir=cache_dir)
    except UserError as error:
        raise UserError(f"{path} holds no protocol of a measurement: {error}") from None


def check_weights(path: str | Path, protocol: dict) -> None:
    """Raise UserError if an earlier measurement had other weights or other measures."""
    theirs = section(read_json(path), "protocol")
    found = differences(protocol, theirs, ("weights", "measured"))
    if found:
        raise UserError(f"this measurement differs from {path} (here, there): {'; '.join(found)}")


def statistics_protocol(
    selection: Selection, settings: MeasureConfig, network: metrics.FeatureNetwork
) -> dict:
    """Make the protocol kept with the features of the real side, first in the selection."""
    return {
        "reading": selection.reading.values(),
        "choices": _choices(settings),
        "network": {"sha256": network.digest},
        "side": identity(selection.sides[0]),
    }


def _choices(settings: MeasureConfig) -> dict:
    """Return the options on which the real side's clips depend, beside how they are read."""
    return {"clips": settings.clips, "start": settings.start, "color": settings.color}


def check_statistics(
    side: Side,
    statistics: Statistics,
    selection: Selection,
    settings: MeasureConfig,
    network: metrics.FeatureNetwork,
) -> None:
    """Raise UserError if features come from other clips, or were computed differently."""
    here, theirs = statistics_protocol(selection, settings, network), statistics.protocol
    found = differences(here, theirs, ("reading", "choices", "network"))
    grey = [section(one, "side").get("grey") for one in (here, theirs)]
    if settings.color == "same" and grey[0] != grey[1]:
        found.append(f"grey: {grey[0]}, {grey[1]}; --color=rgb compares them as they are")
    if found:
        raise UserError(f"{side.source} has another protocol (here, there): {'; '.join(found)}")
