"""A run measured under a protocol: batch by batch, resumable, to figures on disk."""

import dataclasses
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfvrnn import metrics
from tfvrnn.config import Config, UserError
from tfvrnn.data import make_dataset
from tfvrnn.evaluation import protocol as protocols
from tfvrnn.evaluation.figures import summarize
from tfvrnn.evaluation.measures import Measures
from tfvrnn.metrics import WeightsUnavailable
from tfvrnn.run_folder import RunFolder, load_run


@dataclass
class Result:
    """Figures with their protocol.

    name: of the run; path: of the JSON; notes: what was not measured, and why; shown: uint8
    `[examples, 2 + samples, T, H, W, C]`: truth, best sample, first samples.
    """

    name: str
    path: Path
    protocol: dict
    figures: dict
    notes: list[str]
    shown: np.ndarray


def evaluate_run(
    run_dir: str | Path,
    changes: dict | None = None,
    protocol_file: str | Path | None = None,
) -> Result:
    """Measure a run, or go on measuring it, into its folder evaluation/.

    Writes `<name>.json`, figures and protocol, and `<name>.npz`, what was measured of every video.
    Where this very protocol was measured already, reads that.

    Args:
        run_dir: folder of the run.
        changes: {option of EvalConfig: value}, over the run's own.
        protocol_file: JSON of an earlier result, whose settings and data are taken.

    Raises:
        UserError: no run there, a dataset that cannot be read, a protocol that another model or
            other weights of a metric had.
    """
    config, model, step = load_run(run_dir)
    if protocol_file:
        config = protocols.read_settings(protocol_file, config)
    config = dataclasses.replace(config, eval=dataclasses.replace(config.eval, **(changes or {})))
    _check_sizes(config, model)
    lpips, network, notes = _networks(config, model)
    protocol = protocols.make_protocol(config, model, step, lpips, network)
    if protocol_file:
        _check_same(protocol_file, protocol, notes)
    path = RunFolder(run_dir).path / "evaluation" / f"{protocols.protocol_name(config)}.json"
    if path.is_file() and (found := read_result(path)).protocol == protocol:
        return found
    for note in notes:
        print(note, file=sys.stderr)
    measured, seconds = _measure(config, Measures(model, config, lpips, network), path, protocol)
    content = {
        "run": RunFolder(run_dir).path.resolve().name,
        "protocol": protocol,
        "figures": summarize(measured),
        "notes": notes,
        "seconds": seconds,
    }
    _write_arrays(path.with_suffix(".npz"), measured)
    _write(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    shutil.rmtree(_parts(path, protocol))
    return read_result(path)


def read_result(path: str | Path) -> Result:
    """The result that an evaluation wrote.

    Raises:
        UserError: none there.
    """
    path = Path(path)
    content = protocols.read_json(path)
    try:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
            shown = arrays["shown"] if "shown" in arrays else np.zeros((0, 2, 1, 1, 1, 1), np.uint8)
        fields = [content[name] for name in ("protocol", "figures", "notes")]
        return Result(content["run"], path, *fields, shown)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(f"{path} holds no result: {error}") from None


def _check_sizes(config, model):
    window = metrics.SSIM_WINDOWS[config.eval.ssim]
    if min(model.image_shape[:2]) < window:
        raise UserError(
            f"frames of {model.image_shape[0]} pixels are smaller than the window of "
            f"--eval.ssim={config.eval.ssim}, {window}"
        )
    data = dataclasses.replace(config.data, batch_size=1)
    there = int(make_dataset(data, config.model, config.eval.split).cardinality())
    if 0 <= there < config.eval.videos:
        raise UserError(
            f"the {config.eval.split} split has {there} videos; "
            f"--eval.videos is {config.eval.videos}"
        )


def _networks(config: Config, model):
    """(LPIPS or None, network of the FVD or None, notes of what is not measured)."""
    settings, notes, lpips, network = config.eval, [], None, None
    try:
        if settings.lpips != "none":
            trunk_file = settings.lpips_trunk or None
            lpips = metrics.perceptual_network(settings.lpips, settings.cache_dir, trunk_file)
            lpips.check_size(model.image_shape)
    except (WeightsUnavailable, metrics.TooSmall) as error:
        lpips = None
        notes.append(f"LPIPS is not measured: {error}")
    horizon = settings.horizon or config.data.horizon
    hindrance = protocols.fvd_hindrance(settings, model.context_frames, horizon)
    try:
        if settings.fvd_network != "none" and not hindrance:
            network = metrics.feature_network(settings.fvd_network, settings.cache_dir)
    except WeightsUnavailable as error:
        hindrance = str(error)
    if hindrance and settings.fvd_network != "none":
        notes.append(f"FVD is not measured: {hindrance}")
    return lpips, network, notes


def _check_same(path, protocol, notes):
    theirs = protocols.read_json(path)["protocol"]
    found = protocols.differences(protocol, theirs, ("model", "data", "settings"))
    if found:
        raise UserError(f"not the evaluation of {path} (here, there): {'; '.join(found)}")
    if protocol["code_version"] != theirs["code_version"]:
        notes.append(f"{path} was computed by version {theirs['code_version']}")


def _measure(config, measures, path, protocol):
    """({name: array of all videos}, seconds), measuring what an earlier attempt did not."""
    folder, began = _parts(path, protocol), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    for first, videos in _missing_batches(config, folder):
        part = folder / f"{first:08}.npz"
        _write_arrays(part, measures(videos, first))
    parts = [dict(np.load(part, allow_pickle=False)) for part in _done(folder)]
    # The examples come from the first parts alone.
    measured = {n: np.concatenate([p[n] for p in parts if n in p]) for n in parts[0]}
    return measured, round(time.monotonic() - began, 1)


def _missing_batches(config, folder) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first video, uint8 videos) of the batches that are not measured yet."""
    settings, done = config.eval, len(_done(folder)) * config.eval.batch_size
    horizon = settings.horizon or config.data.horizon
    data = dataclasses.replace(config.data, horizon=horizon, batch_size=settings.batch_size)
    if done:
        print(f"{min(done, settings.videos)} videos were measured before", file=sys.stderr)
    if done >= settings.videos:
        return
    batches = make_dataset(data, config.model, settings.split, done).unbatch()
    batches = batches.take(settings.videos - done).batch(settings.batch_size)
    with tqdm(total=settings.videos, initial=done, unit="video", smoothing=0.1) as progress:
        for videos in batches.as_numpy_iterator():
            yield done, videos
            done += len(videos)
            progress.update(len(videos))


def _parts(path: Path, protocol: dict) -> Path:
    """Where the batches of an evaluation that is not finished lie."""
    return path.with_name(f".{path.stem}-{protocols.protocol_hash(protocol)}")


def _done(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.npz"))


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)
