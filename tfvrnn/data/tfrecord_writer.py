"""Write prepared datasets, TFRecords with the metadata of TFDS, shard by shard and resumably.

A dataset is written to a hidden folder, which is renamed when the dataset is whole. So nothing
half-written is taken for a dataset. Shards that an interrupted preparation finished are kept.
"""

import errno
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_datasets as tfds
from tqdm import tqdm

from tfvrnn import files
from tfvrnn.config import UserError

VERSION = "1.0.0"
PLAN, LOCK = "plan.json", "lock"
_REPORT = re.compile(r"\..*\.json")


class Shard(NamedTuple):
    """Instructions for one file, which is a function of `work` only.

    Attributes:
        split: 'train', 'validation' or 'test'.
        work: values that JSON can represent.
    """

    split: str
    work: Any


def is_prepared(names: Collection[str]) -> bool:
    """Return whether files of these names are those of a prepared dataset."""
    return "dataset_info.json" in names and any(".tfrecord" in name for name in names)


class Skipped(NamedTuple):
    """A source that gave no record, and why."""

    name: str
    reason: str


class Prepared(NamedTuple):
    """A whole dataset: its folder, its number of videos per split, and the sources left out."""

    folder: Path
    videos: dict[str, int]
    skipped: list[Skipped]


def write_dataset(
    folder: Path,
    features: dict[str, Any],
    shards: Sequence[Shard],
    make: Callable[[Any], Iterator[dict | Skipped]],
    options: dict[str, Any],
    description: str,
) -> Prepared:
    """Write a dataset that `tfds.builder_from_directory` reads, or finish writing it.

    Args:
        folder: `<data_dir>/<name>`; the version is a folder in it.
        features: TFDS features of a record.
        shards: one per file.
        make: turns a shard's `work` into its records, and names the sources that gave none.
        options: everything that the dataset depends on, besides the shards.
        description: text for its metadata.

    Raises:
        UserError: a finished or unfinished dataset with other options exists, another preparation
            is running, no space is left, or a split has no record.
    """
    final, aside = folder / VERSION, folder / f".incomplete-{VERSION}"
    plan = {"options": options, "shards": [[s.split, s.work] for s in shards]}
    plan = json.loads(json.dumps(plan))
    if final.exists():
        return _already(final, plan)
    try:
        aside.mkdir(parents=True, exist_ok=True)
        with files.locked(aside / LOCK, f"preparing {final}"):
            _begin(aside, plan)
            features = tfds.features.FeaturesDict(features)
            paths = list(zip(shards, _file_names(folder.name, shards)))
            total = len(paths)
            with tqdm(total=total, unit="file", disable=not total) as bar:
                for shard, name in paths:
                    if not _is_whole(aside / name):
                        _write_shard(aside / name, features, make(shard.work))
                    bar.update()
            prepared = _finish(aside, final, features, paths, description)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"no space left in {folder}. Free some, then the same command continues"
            ) from None
        raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    except tf.errors.ResourceExhaustedError:
        raise UserError(
            f"no space left in {folder}. Free some, then the same command continues"
        ) from None
    return prepared


def _already(final, plan) -> Prepared:
    try:
        stored = files.read_json(final / PLAN)
        same = stored["plan"] == plan
        prepared = Prepared(final, stored["videos"], [Skipped(*x) for x in stored["skipped"]])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"the dataset in {final} is not whole ({PLAN}): move it away and prepare it again"
        ) from None
    if not same:
        raise UserError(
            f"{final} was prepared from other sources or with other options; move it away, or "
            f"choose another --data_dir"
        )
    return prepared


def _begin(aside, plan) -> None:
    """Continue a preparation that was begun with the same plan.

    Raises:
        UserError: the files there were written for another plan.
    """
    path = aside / PLAN
    finished = any(_REPORT.fullmatch(old.name) for old in aside.iterdir())
    if finished and _plan_in(path) != plan:
        raise UserError(
            f"an unfinished preparation from other sources or with other options is in {aside}: "
            f"give its options again, or delete it"
        )
    files.write_whole(path, json.dumps(plan))


def _plan_in(path):
    """Read the plan of a file, which may also hold the results that `_finish` wrote."""
    stored = _read(path)
    return stored and stored.get("plan", stored)


def _read(path: Path) -> dict | None:
    """Read a JSON object; None if the file is missing or damaged."""
    try:
        stored = files.read_json(path)
    except (OSError, ValueError):
        return None
    return stored if isinstance(stored, dict) else None


def _file_names(name: str, shards) -> list[str]:
    totals, names, seen = {}, [], {}
    for split, _ in shards:
        totals[split] = totals.get(split, 0) + 1
    for split, _ in shards:
        number = seen[split] = seen.get(split, -1) + 1
        names.append(f"{name}-{split}.tfrecord-{number:05}-of-{totals[split]:05}")
    return names


def _report(path: Path) -> Path:
    """Return the path of a shard's report, which exists only if the shard is whole."""
    return path.with_name(f".{path.name}.json")


def _is_whole(path: Path) -> bool:
    """Return whether a shard has been written, with its report."""
    return set(_read(_report(path)) or ()) == {"count", "bytes", "skipped"}


def _write_shard(path: Path, features, made: Iterable[dict | Skipped]) -> None:
    partial, count, skipped = path.with_name(f".{path.name}"), 0, []
    with tf.io.TFRecordWriter(os.fsencode(partial)) as writer:
        for record in made:
            if isinstance(record, Skipped):
                skipped.append(record)
                continue
            writer.write(features.serialize_example(features.encode_example(record)))
            count += 1
    partial.replace(path)
    report = {"count": count, "bytes": path.stat().st_size, "skipped": skipped}
    files.write_whole(_report(path), json.dumps(report))


def _finish(aside, final, features, paths, description) -> Prepared:
    reports = {name: files.read_json(_report(aside / name)) for _, name in paths}
    skipped = [Skipped(*entry) for report in reports.values() for entry in report["skipped"]]
    infos, videos = [], {}
    for split in dict.fromkeys(shard.split for shard, _ in paths):
        own = [reports[name] for shard, name in paths if shard.split == split]
        videos[split] = sum(report["count"] for report in own)
        if not videos[split]:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3])
            raise UserError(f"no video for {split} ({reasons or 'no sources'})")
        infos.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[report["count"] for report in own],
                num_bytes=sum(report["bytes"] for report in own),
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=str(aside),
        features=features,
        split_infos=infos,
        version=VERSION,
        description=description,
        check_data=False,
    )
    plan = _plan_in(aside / PLAN)
    files.write_whole(
        aside / PLAN, json.dumps({"plan": plan, "videos": videos, "skipped": skipped}, indent=1)
    )
    # Rename first, so that an interruption here loses no work.
    aside.rename(final)
    for name in reports:
        _report(final / name).unlink()
    (final / LOCK).unlink()
    return Prepared(final, videos, skipped)
