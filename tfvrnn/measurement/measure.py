"""Measure two sides under a protocol, in resumable parts, and write figures to disk."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfvrnn import files, metrics
from tfvrnn.config import MeasureConfig, UserError, expanded
from tfvrnn.measurement import figures, protocol, treatment
from tfvrnn.measurement.examples import examples
from tfvrnn.measurement.features import PairMeasures, features_of, values_of_pairs
from tfvrnn.measurement.networks import feature_network, finite, pair_measures
from tfvrnn.measurement.parts import Parts
from tfvrnn.measurement.result import Measurement, read_measurement, write_measurement
from tfvrnn.measurement.selection import Chosen, Selection, select
from tfvrnn.measurement.sides import Side, open_side
from tfvrnn.measurement.statistics import Statistics, write_statistics
from tfvrnn.measurement.survey import survey
from tfvrnn.reporting.protocols import protocol_hash, read_json

NAME, PARTS = "measurement.json", "parts"


@dataclass
class MeasurementPlan:
    """Everything that a measurement needs."""

    settings: MeasureConfig
    sides: list[Side]
    selection: Selection
    network: metrics.FeatureNetwork | None
    measures: PairMeasures | None
    notes: list[str] = field(default_factory=list)
    treatment: dict = field(default_factory=dict)
    protocol: dict = field(default_factory=dict)


def measure_videos(
    real: str | Path | np.ndarray,
    generated: str | Path | np.ndarray,
    settings: MeasureConfig | None = None,
    out: str | Path = "measured",
    *,
    real_key: str = "",
    generated_key: str = "",
    save_statistics: str | Path | None = None,
    protocol_file: str | Path | None = None,
) -> Measurement:
    """Measure generated videos against real ones, or continue a measurement.

    Writes `measurement.json` and `measurement.npz` into the folder `out`. If these hold a
    measurement of another protocol, writes `measurement-<hash>` instead. If this protocol was
    already measured, reads that measurement.

    Args:
        real: a folder of videos, a video file, an .npy or .npz of uint8 `[N, T, H, W, C]`, a file
            that `save_statistics` wrote, or an array.
        generated: the same, without statistics; with `paired` an array may be
            `[N, S, T, H, W, C]`.
        settings: the options; None: the defaults.
        out: folder, created if it is missing. Its `parts/` keeps what was computed.
        real_key, generated_key: names of arrays in an .npz.
        save_statistics: file to write the features of the real side into.
        protocol_file: JSON of an earlier measurement. Its options replace `settings`, except for
            `cache_dir`.

    Raises:
        UserError: nothing to measure, or videos that cannot be compared without a choice.
    """
    settings = settings or MeasureConfig()
    if protocol_file:
        settings = protocol.read_settings(protocol_file, settings.cache_dir)
    out = expanded(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write into {out}: {error.strerror}") from None
    with files.locked(out / ".lock", f"measuring into {out}"):
        sides = _open((real, generated), (real_key, generated_key), settings, out)
        parts = Parts(out / PARTS)
        plan = _plan(sides, settings, parts, save_statistics)
        if protocol_file:
            protocol.check_weights(protocol_file, plan.protocol)
        path = _path(out, plan.protocol)
        if not save_statistics and (there := _measured(plan, path)):
            return there
        for note in plan.notes:
            print(note, file=sys.stderr)
        write_measurement(_measure(plan, parts, path, save_statistics))
    return read_measurement(path)


def _open(sources, keys, settings: MeasureConfig, out: Path) -> list[Side]:
    sides = [
        open_side(label, source, key, settings.paired and label == "generated", out)
        for label, source, key in zip(("real", "generated"), sources, keys)
    ]
    real, generated = sides
    if generated.statistics:
        raise UserError("--generated must be videos: only --real may be a file of statistics")
    if real.statistics and settings.paired:
        raise UserError("with --paired, --real must be videos: statistics have no frames")
    return sides


def _path(out: Path, wanted: dict) -> Path:
    path = out / NAME
    if path.is_file() and read_json(path).get("protocol") != wanted:
        path = path.with_stem(f"{path.stem}-{protocol_hash(wanted)}")  # the earlier one stays
    return path


def _measured(plan: MeasurementPlan, path: Path) -> Measurement | None:
    """Return an earlier measurement of the same sides, or None."""
    if not path.is_file() or not path.with_suffix(".npz").is_file():
        return None
    there = read_measurement(path)
    sources = [side.source for side in plan.sides]
    same = [there.real, there.generated] == sources and there.treatment == plan.treatment
    return there if same else None


def _plan(
    sides: list[Side], settings: MeasureConfig, parts: Parts, save_statistics
) -> MeasurementPlan:
    with_videos = [side for side in sides if not side.statistics]
    facts = [survey(side, settings, parts) for side in with_videos]
    selection = select(with_videos, facts, settings)
    counts = [len(one.clips) for one in selection.sides]
    if statistics := sides[0].statistics:
        counts.insert(0, len(statistics.features))
    network, notes = feature_network(selection, settings, counts)
    measures, more = pair_measures(selection, settings)
    plan = MeasurementPlan(settings, sides, selection, network, measures)
    if statistics and network:
        protocol.check_statistics(sides[0], statistics, selection, settings, network)
    if not network and (statistics or not measures):
        raise UserError(f"nothing is left to measure: {'; '.join(notes)}")
    if save_statistics and (statistics or not network):
        raise UserError("--save_statistics needs real videos and an FVD that is measured")
    for one in selection.sides:
        done = treatment.treatment(one, selection.reading, settings)
        plan.treatment[one.side.label] = done
        label = one.side.label
        plan.notes += treatment.notes_of(label, done, selection.reading, settings)
    plan.notes += [*treatment.notes_of_both(selection, settings), *notes, *more]
    plan.protocol = protocol.make_protocol(settings, sides, selection, network, measures)
    return plan


def _measure(plan: MeasurementPlan, parts: Parts, path: Path, save_statistics) -> Measurement:
    selection, settings = plan.selection, plan.settings
    found, notes, values = dict.fromkeys(("fvd", "kvd", "fvd_infinity")), list(plan.notes), {}
    if plan.network:
        features, more = _features(plan, plan.network, parts)
        notes += more
        if save_statistics:
            kept = protocol.statistics_protocol(selection, settings, plan.network)
            write_statistics(expanded(save_statistics), Statistics(features[0], kept))
        real, generated = features
        found = figures.distances(real, generated, settings.subsets, settings.seed)
    if plan.measures:
        values = values_of_pairs(selection, plan.measures, parts)
    found |= figures.of_pairs(values, settings.seed)
    shown, rows = examples(selection, values, settings.examples)
    return Measurement(
        path=path,
        real=plan.sides[0].source,
        generated=plan.sides[1].source,
        protocol=plan.protocol,
        figures=found,
        treatment=plan.treatment,
        notes=notes,
        shown=shown,
        rows=rows,
        names=[pair.name for pair in selection.pairs],
        values=values,
    )


def _features(
    plan: MeasurementPlan, network: metrics.FeatureNetwork, parts: Parts
) -> tuple[list[np.ndarray], list[str]]:
    """Compute ([real, generated features], notes)."""
    found, notes = [], []
    if statistics := plan.sides[0].statistics:
        found.append(statistics.features)
    for one in plan.selection.sides:
        features = features_of(one, plan.selection.reading, network, parts)
        features, more = finite(features, _names(one), one.side.label)
        for note in more:
            print(note, file=sys.stderr)
        found.append(features)
        notes += more
    return found, notes


def _names(one: Chosen) -> list[str]:
    return [one.side.videos[clip.video].name for clip in one.clips]
