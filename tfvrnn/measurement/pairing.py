"""Pairing of real videos with generated ones, by their names."""

import re
from collections.abc import Sequence
from typing import NamedTuple

NUMBERED = re.compile(r"(?P<name>.+)_(?P<number>[0-9]+)")


class Pair(NamedTuple):
    """A real video and its generated samples, as numbers within their sides."""

    name: str
    real: int
    samples: list[int]


def pair_up(
    real: Sequence[str], generated: Sequence[str]
) -> tuple[list[Pair], list[str], list[str]]:
    """Pair videos of equal names.

    A generated video belongs to the real one of the same name. Otherwise, a video NAME_7 belongs to
    NAME. Otherwise, a video in a folder NAME/ belongs to NAME. The samples of a video are in the
    order of their numbers.

    Args:
        real, generated: names without endings.

    Returns:
        (pairs in the order of the real ones, real names without samples, generated names that
        belong to none).
    """
    known = set(real)
    samples: dict[str, list[tuple]] = {}
    left = []
    for place, name in enumerate(generated):
        owner, order = _owner(name, known)
        if owner is None:
            left.append(name)
        else:
            samples.setdefault(owner, []).append((order, place))
    pairs, seen, alone = [], set(), []
    for place, name in enumerate(real):
        if name in samples and name not in seen:
            seen.add(name)
            pairs.append(Pair(name, place, [number for _, number in sorted(samples[name])]))
        else:  # also the second file of one name with two endings
            alone.append(name)
    return pairs, alone, left


def _owner(name: str, known: set[str]) -> tuple[str | None, tuple]:
    """Return (name of the real video, sort key of the sample)."""
    if name in known:
        return name, (0, 0, "")
    numbered = NUMBERED.fullmatch(name)
    if numbered and numbered["name"] in known:
        return numbered["name"], (1, int(numbered["number"]), name)
    folder, _, last = name.rpartition("/")
    if folder in known:
        digits = re.findall("[0-9]+", last)
        return folder, (2, int(digits[-1]) if digits else 0, last)
    return None, ()
