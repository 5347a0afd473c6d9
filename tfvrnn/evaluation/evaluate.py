"""Measure a run under a protocol, batch by batch and resumable, and write figures to disk."""

import contextlib
import dataclasses
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfvrnn import files, metrics
from tfvrnn.config import Config, EvalConfig, UserError
from tfvrnn.data import count_videos, make_dataset, read
from tfvrnn.evaluation import protocol as protocols
from tfvrnn.evaluation.figures import summarize
from tfvrnn.evaluation.grid import choose_times
from tfvrnn.evaluation.measures import Measures
from tfvrnn.evaluation.seeds import training_of
from tfvrnn.models import VideoPredictor
from tfvrnn.reporting.protocols import protocol_hash, read_json, section
from tfvrnn.runs import RunFolder, load_run


@dataclass
class Result:
    """Figures with their protocol.

    Attributes:
        name: of the run.
        path: of the JSON.
        notes: measures that are missing, and why.
        shown: uint8 `[examples, 2 + N, T, H, W, C]`: truth, best sample, first N samples (N <= 3).
        training: from `seeds.training_of`; None in results of older versions.
    """

    name: str
    path: Path
    protocol: dict
    figures: dict
    notes: list[str]
    shown: np.ndarray
    training: dict | None = None


@dataclass
class EvaluationPlan:
    """A run to measure, with everything that this needs."""

    name: str
    config: Config
    model: VideoPredictor
    lpips: metrics.LPIPS | None
    network: metrics.FeatureNetwork | None
    notes: list[str]
    protocol: dict
    path: Path
    earlier: Path | None = None  # a result of this name under another protocol


def evaluate_runs(
    run_dirs: Sequence[str | Path],
    changes: dict | None = None,
    protocol_file: str | Path | None = None,
    grid_times: Sequence[int] | None = None,
) -> list[Result]:
    """Measure runs, or continue measuring them, each into its folder evaluation/.

    Writes figures and protocol to `<name>.json`, and the measures of every video to `<name>.npz`.
    If this protocol was already measured, reads that result.

    Args:
        run_dirs: folders of the runs. All are measured under equal rules, or none is.
        changes: {option of EvalConfig: value}, which override the first run's own options.
        protocol_file: JSON of an earlier result. Its settings and data are used, and the runs are
            measured again, into `<name>_again.json`. `changes` may then only be of paths.
        grid_times: columns of the report's grid, checked before anything is measured.

    Raises:
        UserError: no run there, or one that cannot be written into and was not measured yet, a
            dataset that cannot be read, runs that cannot be measured under equal rules, a protocol
            of another model or of other weights of a metric.
    """
    if protocol_file and (other := set(changes or {}) - {"cache_dir", "lpips_trunk"}):
        flags = ", ".join(f"--eval.{name}" for name in sorted(other))
        raise UserError(f"a protocol has its own settings, and excludes {flags}")
    labels = [RunFolder(run_dir).path.resolve().name for run_dir in run_dirs]
    if len(set(labels)) < len(labels):
        labels = [str(run_dir) for run_dir in run_dirs]
    settings, plans = None, []
    for run_dir, label in zip(run_dirs, labels):
        settings = settings or _settings(run_dir, changes or {})
        plans.append(_plan(run_dir, label, settings, protocol_file))
    protocols.check_alike([(plan.name, plan.protocol) for plan in plans])
    context, horizon = plans[0].model.context_frames, plans[0].protocol["settings"]["horizon"]
    choose_times(context, horizon, grid_times)
    for run_dir, plan in zip(run_dirs, plans):
        if protocol_file or not _is_measured(plan):
            RunFolder(run_dir).check_writable()
    return [_evaluate(plan, protocol_file) for plan in plans]


def evaluate_run(
    run_dir: str | Path, changes: dict | None = None, protocol_file: str | Path | None = None
) -> Result:
    """Measure one run; see `evaluate_runs`."""
    return evaluate_runs([run_dir], changes, protocol_file)[0]


def _settings(run_dir, changes) -> EvalConfig:
    return dataclasses.replace(RunFolder(run_dir).read_config().eval, **changes)


def _plan(run_dir, label, settings, protocol_file) -> EvaluationPlan:
    config, model, step = load_run(run_dir)
    config = dataclasses.replace(config, eval=settings)
    if protocol_file:
        config = protocols.read_settings(protocol_file, config)
    _check_sizes(config, model)
    lpips, network, notes = _networks(config, model)
    protocol = protocols.make_protocol(config, model, step, lpips, network)
    name = protocols.protocol_name(config)
    if protocol_file:
        _check_same(protocol_file, protocol, notes)
        name = f"{Path(protocol_file).stem}_again"
    path = RunFolder(run_dir).evaluation / f"{name}.json"
    earlier = None
    if path.is_file() and read_json(path).get("protocol") != protocol:
        # A result under another protocol stays.
        earlier, path = path, path.with_stem(f"{name}-{protocol_hash(protocol)}")
    return EvaluationPlan(label, config, model, lpips, network, notes, protocol, path, earlier)


def _is_measured(plan: EvaluationPlan) -> bool:
    return plan.path.is_file() and plan.path.with_suffix(".npz").is_file()


def _evaluate(plan: EvaluationPlan, anew) -> Result:
    path = plan.path
    if not anew and _is_measured(plan):
        return read_result(path, plan.name)
    for note in plan.notes + _measured_anew(plan):
        print(note, file=sys.stderr)
    with _parts(path, plan.protocol) as folder:
        measured, seconds = _measure(plan, folder)
        model = plan.model
        settings = plan.protocol["settings"]
        counted = model.counted_frames(settings["horizon"])
        dimensions = math.prod(model.image_shape) if model.calibrated else None
        content = {
            "protocol": plan.protocol,
            "figures": summarize(
                measured, counted, density_dimensions=dimensions, futures=settings["samples"]
            ),
            "notes": plan.notes,
            "seconds": seconds,
            "training": training_of(plan.config),
        }
        files.write_arrays(path.with_suffix(".npz"), measured)
        files.write_whole(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
        shutil.rmtree(folder)
    return read_result(path, plan.name)


def _measured_anew(plan: EvaluationPlan) -> list[str]:
    """Say why an earlier result of the same name is not used."""
    if plan.earlier is None:
        return []
    theirs = section(read_json(plan.earlier), "protocol")
    found = protocols.protocol_differences(plan.protocol, theirs, ("model", "data", "settings"))
    other = "; ".join(found) or "another version of the package"
    return [f"measured again, as {plan.earlier} has another protocol (here, there): {other}"]


def read_result(path: str | Path, name: str | None = None) -> Result:
    """Read the result that an evaluation wrote, under the name of its run.

    Raises:
        UserError: there is no result.
    """
    path = Path(path)
    content = read_json(path)
    try:
        arrays = files.read_arrays(path.with_suffix(".npz"))
        shown = arrays.get("shown", np.zeros((0, 2, 1, 1, 1, 1), np.uint8))
        protocol, figures, notes = (content[part] for part in ("protocol", "figures", "notes"))
        name = name or path.resolve().parents[1].name
        return Result(name, path, protocol, figures, notes, shown, content.get("training"))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} holds no result: {error}") from None


def _check_sizes(config, model):
    window = metrics.SSIM_WINDOWS[config.eval.ssim]
    if min(model.image_shape[:2]) < window:
        raise UserError(
            f"frames of {model.image_shape[0]} pixels are smaller than the window of "
            f"--eval.ssim={config.eval.ssim}, {window}"
        )
    there = count_videos(config.data, config.model, config.eval.split)
    if 0 <= there < config.eval.videos:
        raise UserError(
            f"the {config.eval.split} split has {there} videos; --eval.videos is "
            f"{config.eval.videos}: at most --eval.videos={there}"
        )


def _networks(config: Config, model):
    """Return (LPIPS or None, network of the FVD or None, notes on missing measures)."""
    settings, notes, lpips, network = config.eval, [], None, None
    try:
        if settings.lpips != "none":
            metrics.check_frame_size(settings.lpips, model.image_shape)  # before it is fetched
            trunk_file = settings.lpips_trunk or None
            lpips = metrics.perceptual_network(settings.lpips, settings.cache_dir, trunk_file)
    except (metrics.WeightsUnavailable, metrics.TooSmall) as error:
        if settings.lpips_trunk:
            raise UserError(f"--eval.lpips_trunk: {error}") from None
        notes.append(f"LPIPS is not measured: {error}")
    horizon = settings.horizon or config.data.horizon
    hindrance = protocols.fvd_hindrance(settings, model.context_frames, horizon)
    try:
        if settings.fvd_network != "none" and not hindrance:
            network = metrics.feature_network(settings.fvd_network, settings.cache_dir)
    except metrics.WeightsUnavailable as error:
        if settings.fvd_network != "i3d":
            raise UserError(f"--eval.fvd_network: {error}") from None
        hindrance = str(error)
    if hindrance and settings.fvd_network != "none":
        notes.append(f"FVD is not measured: {hindrance}")
    return lpips, network, notes


def _check_same(path, protocol, notes):
    theirs = read_json(path)["protocol"]
    found = protocols.protocol_differences(protocol, theirs, ("model", "data", "settings"))
    if found:
        raise UserError(f"this evaluation differs from {path} (here, there): {'; '.join(found)}")
    version = theirs.get("code_version", "unknown")
    if protocol["code_version"] != version:
        notes.append(f"{path} was computed by version {version}")


def _measure(plan: EvaluationPlan, folder: Path) -> tuple[dict[str, np.ndarray], float]:
    """Measure what an earlier attempt did not; return ({name: array of all videos}, seconds)."""
    settings, began = plan.config.eval, time.monotonic()
    measures = Measures(plan.model, plan.config, plan.lpips, plan.network)
    firsts = range(0, settings.videos, settings.batch_size)
    parts = {first: _read_part(folder, first) for first in firsts}
    missing = [first for first in firsts if parts[first] is None]
    done = settings.videos - sum(min(settings.batch_size, settings.videos - n) for n in missing)
    if done:
        print(f"{done} videos were already measured", file=sys.stderr)
    with tqdm(total=settings.videos, initial=done, unit="video", smoothing=0.1) as progress:
        for first, videos in _batches(plan.config, missing):
            parts[first] = measured = measures(videos, first)
            files.write_arrays(_part(folder, first), measured)
            progress.update(len(videos))
    # Only the first parts hold examples.
    whole = [part for part in parts.values() if part is not None]
    found = {n: np.concatenate([p[n] for p in whole if n in p]) for n in whole[0]}
    return found, round(time.monotonic() - began, 1)


def _batches(config, missing) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (number of the first video, uint8 videos) of the batches that begin at `missing`."""
    if not missing:
        return
    settings = config.eval
    horizon = settings.horizon or config.data.horizon
    data = dataclasses.replace(config.data, horizon=horizon, batch_size=settings.batch_size)
    begin = missing[0]
    batches = make_dataset(data, config.model, settings.split, begin).unbatch()
    batches = batches.take(settings.videos - begin).batch(settings.batch_size)
    first = begin
    for videos in read(batches.as_numpy_iterator(), config.data, config.model):
        if first in missing:
            yield first, videos
        first += len(videos)
    if first < settings.videos:
        raise UserError(f"the {settings.split} split has {first} videos, not {settings.videos}")


@contextlib.contextmanager
def _parts(path: Path, protocol: dict) -> Iterator[Path]:
    """Yield the folder of an unfinished evaluation's batches, for one process at a time."""
    folder = path.with_name(f".{path.stem}-{protocol_hash(protocol)}")
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder / "lock", f"measuring into {folder}"):
        yield folder


def _part(folder: Path, first: int) -> Path:
    return folder / f"{first:08}.npz"


def _read_part(folder: Path, first: int) -> dict[str, np.ndarray] | None:
    """Read a batch, or return None if it was not measured or its file is damaged."""
    try:
        return files.read_arrays(_part(folder, first))
    except (OSError, ValueError):
        return None
