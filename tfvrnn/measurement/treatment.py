"""Treatment of a side's videos (left out, cut, resized, turned to grey), and notes on it."""

import hashlib
import os
from pathlib import Path

import numpy as np

from tfvrnn.config import MeasureConfig
from tfvrnn.measurement.clips import Reading
from tfvrnn.measurement.selection import Chosen, Selection, few, samples_measured

LONGEST_REASON = 80  # characters in a note


def treatment(one: Chosen, reading: Reading, settings: MeasureConfig) -> dict:
    """Describe everything that was done to a side, in values for JSON.

    Returns:
        {'left_out': {name: reason}, 'not_drawn': names, 'cut': names, 'resized': {sizes: names},
        'turned_grey': names, 'frame_rates': {rate: names}}.
    """
    names = {number: one.side.videos[number].name for number in one.usable}
    used = settings.start_of(one.side.label) + reading.span
    sizes = [f"{h}x{w}" for h, w in zip(one.facts["height"], one.facts["width"])]
    target = f"{reading.height}x{reading.width}"
    rates = [f"{rate:.4g}" for rate in one.facts["rate"]]
    found = one.names_by(sizes)
    return {
        "left_out": dict(one.left_out),
        "not_drawn": one.not_drawn,
        "cut": [name for n, name in names.items() if one.facts["frames"][n] > used],
        "resized": {size: own for size, own in found.items() if size != target},
        "turned_grey": [n for k, n in names.items() if reading.grey and not one.facts["grey"][k]],
        "frame_rates": {rate: own for rate, own in one.names_by(rates).items() if rate != "nan"},
    }


def notes_of(label: str, done: dict, reading: Reading, settings: MeasureConfig) -> list[str]:
    """Write one line per kind of treatment, with counts and the first names."""
    notes, target = [], f"{reading.height}x{reading.width}"
    if done["left_out"]:
        reasons = [f"{name}: {_short(reason)}" for name, reason in done["left_out"].items()]
        notes.append(f"{label}: {len(reasons):,} left out: {few(reasons, '; ')}")
    if done["not_drawn"]:
        many = len(done["not_drawn"])
        notes.append(f"{label}: {many:,} videos beyond --videos={settings.videos} were not drawn")
    if done["cut"]:
        how = f"--clips={settings.clips}, {reading.frames} frames at --stride={reading.stride}"
        names = done["cut"]
        notes.append(f"{label}: {len(names):,} videos are longer ({how}): {few(names)}")
    for size, names in done["resized"].items():
        how = f"--fit={reading.fit}, --filter={reading.filter}"
        notes.append(f"{label}: {len(names):,} of {size} made {target} ({how}): {few(names)}")
    if done["turned_grey"]:
        names = done["turned_grey"]
        notes.append(f"{label}: {len(names):,} turned to grey: {few(names)}")
    return notes


def _short(reason: str) -> str:
    """Shorten a reason for a note. The treatment has the whole reason."""
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}..."


def notes_of_both(selection: Selection, settings: MeasureConfig) -> list[str]:
    """Note what is unusual about both sides together: rates, equal videos, counts."""
    sides, notes = selection.sides, [*_notes_of_rates(selection)]
    if len(sides) == 2:
        copy = "the distances compare a set with itself"
        sources = [Path(one.side.source).resolve() for one in sides]
        if sources[0] == sources[1] and same_content(*sides):
            notes.append(f"--real and --generated are the same: {copy}")
        elif same_content(*sides):
            notes.append(f"both sides hold the same videos: {copy}")
        counts = [len(one.clips) for one in sides]
        if counts[0] != counts[1]:
            notes.append(
                f"{counts[0]:,} real and {counts[1]:,} generated clips: the bias of a "
                "distance depends on these numbers"
            )
    notes += _notes_of_samples(selection)
    wanted = settings.videos
    if selection.pairs and len(selection.pairs) < wanted:
        notes.append(f"{len(selection.pairs):,} pairs, fewer than --videos={wanted}")
    for one in sides:
        if len(one.usable) < wanted and not selection.pairs:
            many = f"{len(one.usable):,} videos, fewer than --videos={wanted}"
            notes.append(f"{one.side.label}: {many}")
    return notes


def _notes_of_rates(selection: Selection) -> list[str]:
    rates: dict[str, list[str]] = {}
    for one in selection.sides:
        own = [f"{rate:.4g}" for rate in one.facts["rate"]]
        for rate, names in one.names_by(own).items():
            if rate != "nan":
                rates.setdefault(rate, []).append(f"{len(names):,} {one.side.label}")
    if len(rates) < 2:
        return []
    listed = ", ".join(f"{rate} ({' and '.join(many)})" for rate, many in rates.items())
    return [f"frame rates differ: {listed} frames/s; frames are taken by number, not by time"]


def _notes_of_samples(selection: Selection) -> list[str]:
    pairs = selection.pairs
    samples = samples_measured(pairs) if pairs else 0
    more = [pair.name for pair in pairs if len(pair.samples) > samples]
    if not more:
        return []
    return [
        f"samples: the first {samples} of each video are measured, as many as each has; "
        f"{len(more):,} have more: {few(more)}"
    ]


def same_content(real: Chosen, generated: Chosen) -> bool:
    """Return whether both sides are the same videos."""
    digests = [sorted(one.facts["digest"][one.usable].tolist()) for one in (real, generated)]
    return digests[0] == digests[1]


def identity(one: Chosen) -> dict:
    """Describe a side, in values for JSON: counts, sha256 of names and of the frames read."""
    names, content = hashlib.sha256(), hashlib.sha256()
    for number in one.usable:
        names.update(os.fsencode(one.side.videos[number].name) + b"\n")
        content.update(f"{one.facts['digest'][number]}\n".encode())
    for clip in one.clips:
        content.update(f"{clip.video} {clip.start}\n".encode())
    return {
        "kind": one.side.kind,
        "videos": len(one.usable),
        "clips": len(one.clips),
        "left_out": len(one.left_out),
        "grey": bool(np.all(one.facts["grey"][one.usable])),
        "names_sha256": names.hexdigest(),
        "content_sha256": content.hexdigest(),
    }
