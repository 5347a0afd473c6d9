"""Choice of the videos and clips to measure, with the reasons for those left out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from tfvrnn.config import MeasureConfig, UserError
from tfvrnn.measurement.clips import Clip, Reading, starts_of
from tfvrnn.measurement.pairing import pair_up
from tfvrnn.measurement.parts import Arrays
from tfvrnn.measurement.sides import Side, Video

NAMED = 3  # names in a message, before "and ... more"


@dataclass
class Chosen:
    """The videos and clips taken from a side.

    Attributes:
        facts: of every video, see `survey`.
        usable: indices of the videos to measure.
        left_out: {name: reason}.
        not_drawn: names of the videos beyond `videos`.
        clips: those to measure, by video.
    """

    side: Side
    facts: Arrays
    usable: list[int] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    not_drawn: list[str] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)

    def videos(self) -> list[Video]:
        """Return the videos to measure."""
        return [self.side.videos[number] for number in self.usable]

    def names_by(self, values: Sequence) -> dict:
        """Return {value: names of the usable videos that have it}."""
        found: dict = {}
        for number in self.usable:
            found.setdefault(values[number], []).append(self.side.videos[number].name)
        return found

    def leave_out(self, reasons: dict[int, str]) -> None:
        """Leave out videos, given as {number of the video: reason}."""
        self.left_out |= {self.side.videos[n].name: reason for n, reason in reasons.items()}
        self.usable = [number for number in self.usable if number not in reasons]

    def check_some_left(self) -> None:
        """Raise UserError if no video is left."""
        if not self.usable:
            reasons = [f"{name}: {reason}" for name, reason in self.left_out.items()]
            raise UserError(
                f"no video of the {self.side.label} side can be used: {few(reasons, '; ')[:400]}"
            )


@dataclass(frozen=True)
class PairClips:
    """A real clip and the clips of its samples."""

    name: str
    real: Clip
    samples: list[Clip]


@dataclass
class Selection:
    """All clips to measure.

    Attributes:
        reading: how every clip is read.
        sides: those that have videos. A side may be a file of statistics.
        pairs: empty unless `paired`.
    """

    reading: Reading
    sides: list[Chosen]
    pairs: list[PairClips] = field(default_factory=list)


def samples_measured(pairs: Sequence[PairClips]) -> int:
    """Return the number of samples measured per pair: as many as the pair with the fewest has."""
    return min(len(pair.samples) for pair in pairs)


def few(names: Sequence[str], separator: str = ", ") -> str:
    """List the first names, and the number of others."""
    more = f"{separator}and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return separator.join(names[:NAMED]) + more


def select(sides: Sequence[Side], facts: Sequence[Arrays], settings: MeasureConfig) -> Selection:
    """Choose the clips to measure.

    Args:
        sides: those that have videos.
        facts: of every video, see `survey`, one per side.
        settings: the choices of the measurement.

    Raises:
        UserError: lengths, sizes or colours differ and no option says what to do, or no video is
            left.
    """
    chosen = [_readable(side, found) for side, found in zip(sides, facts)]
    frames = settings.frames or _common_length(chosen, settings)
    height, width = (settings.size,) * 2 if settings.size else _common_size(chosen)
    fit, resize = (settings.fit, settings.filter) if settings.size else ("none", "none")
    grey = _turned_grey(chosen, settings)
    reading = Reading(frames, settings.stride, height, width, fit, resize, grey)
    for one in chosen:
        _leave_out_short(one, reading, settings)
        _leave_out_misfits(one, reading)
        one.check_some_left()
    selection = Selection(reading, chosen)
    if settings.paired:
        _pair(selection, settings)
    else:
        for one in chosen:
            _draw(one, settings)
            one.clips = [clip for n in one.usable for clip in _clips(one, n, reading, settings)]
    return selection


def _readable(side: Side, facts: Arrays) -> Chosen:
    chosen = Chosen(side, facts, list(range(len(side.videos))), dict(side.left_out))
    faults = {number: str(fault) for number, fault in enumerate(facts["fault"]) if fault}
    for number, fault in faults.items():  # without the folder, which the user knows
        faults[number] = (
            fault.removeprefix(f"{side.source}/")
            .removeprefix(side.videos[number].name)
            .lstrip(" /")
        )
    chosen.leave_out(faults)
    chosen.check_some_left()
    return chosen


def _common_length(chosen: Sequence[Chosen], settings: MeasureConfig) -> int:
    found: dict[int, list[str]] = {}
    for one in chosen:
        first, label = settings.start_of(one.side.label), one.side.label
        for frames, names in one.names_by(one.facts["frames"].tolist()).items():
            length = len(range(first, int(frames), settings.stride))
            found.setdefault(length, []).extend(f"{label} {name}" for name in names)
    if len(found) > 1:
        raise UserError(
            f"with --frames=0 all videos must be of one length: {_listed(found)}; "
            f"--frames={min(found) or max(found)} takes that many of each; --start and "
            "--generated_start skip the first frames of a side"
        )
    [length] = found
    if not length:
        raise UserError("--start skips all frames of every video")
    return length


def _common_size(chosen: Sequence[Chosen]) -> tuple[int, int]:
    found: dict[tuple[int, int], list[str]] = {}
    for one in chosen:
        sizes = list(zip(one.facts["height"].tolist(), one.facts["width"].tolist()))
        for size, names in one.names_by(sizes).items():
            found.setdefault(size, []).extend(f"{one.side.label} {name}" for name in names)
    if len(found) > 1:
        named = {f"{height}x{width}": names for (height, width), names in found.items()}
        raise UserError(
            f"with --size=0 all frames must be of one size: {_listed(named)}; "
            f"--size={min(map(min, found))} resizes them, see --fit and --filter"
        )
    return next(iter(found))


def _listed(found: dict) -> str:
    """Write values with names: '16 (real a.mp4, and 7 more), 20 (generated b.mp4)'."""
    parts = []
    for value, names in list(found.items())[:4]:
        more = f", and {len(names) - 1:,} more" if len(names) > 1 else ""
        parts.append(f"{value} ({names[0]}{more})")
    return ", ".join(parts) + (f", and {len(found) - 4} others" if len(found) > 4 else "")


def _turned_grey(chosen: Sequence[Chosen], settings: MeasureConfig) -> bool:
    """Return whether frames are turned to grey."""
    grey = {one.side.label: bool(one.facts["grey"][one.usable].all()) for one in chosen}
    if settings.color == "same" and len(set(grey.values())) > 1:
        [grey_side] = [label for label, is_grey in grey.items() if is_grey]
        raise UserError(
            f"the {grey_side} videos are grey, the others in colour: --color=rgb compares them as "
            "they are; --color=grey turns all to grey"
        )
    return settings.color == "grey"


def _leave_out_short(one: Chosen, reading: Reading, settings: MeasureConfig) -> None:
    needed = settings.start_of(one.side.label) + reading.span
    frames = {number: int(one.facts["frames"][number]) for number in one.usable}
    one.leave_out(
        {
            number: f"{there} frames, at least {needed} needed"
            for number, there in frames.items()
            if there < needed
        }
    )


def _leave_out_misfits(one: Chosen, reading: Reading) -> None:
    """Leave out videos that would need a resize, if nothing is resized."""
    if reading.filter != "none" or reading.fit == "none":
        return
    reasons = {}
    for number in one.usable:
        height, width = (int(one.facts[name][number]) for name in ("height", "width"))
        enough = reading.fit == "crop" and min(height, width) >= reading.height
        if not enough and (height, width) != (reading.height, reading.width):
            reasons[number] = f"{height}x{width}, and nothing is resized (--filter=none)"
    one.leave_out(reasons)


def _drawn(names: Sequence[str], settings: MeasureConfig) -> set[int]:
    """Draw names and return their places."""
    if not settings.videos or len(names) <= settings.videos:
        return set(range(len(names)))

    def ticket(place: int) -> str:
        text = f"{settings.seed} {names[place]}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()

    return set(sorted(range(len(names)), key=ticket)[: settings.videos])


def _draw(one: Chosen, settings: MeasureConfig) -> None:
    names = [video.name for video in one.videos()]
    taken = _drawn(names, settings)
    one.not_drawn = [name for place, name in enumerate(names) if place not in taken]
    one.usable = [number for place, number in enumerate(one.usable) if place in taken]


def _clips(one: Chosen, number: int, reading: Reading, settings: MeasureConfig) -> list[Clip]:
    name, frames = one.side.videos[number].name, int(one.facts["frames"][number])
    first = settings.start_of(one.side.label)
    drawn = f"{settings.seed} {name}"
    return [
        Clip(number, start) for start in starts_of(frames, first, settings.clips, reading, drawn)
    ]


def _pair(selection: Selection, settings: MeasureConfig) -> None:
    """Keep the videos that have a partner. FVD is measured on the first sample of each."""
    real, generated = selection.sides
    pairs = _matched(selection, settings)
    for one, other, used in (
        (real, generated, {pair.real.video for pair in pairs}),
        (generated, real, {clip.video for pair in pairs for clip in pair.samples}),
    ):
        alone = f"no {other.side.label} video of its name"
        one.leave_out({n: alone for n in one.usable if n not in used})
    taken = _drawn([pair.name for pair in pairs], settings)
    selection.pairs = [pair for place, pair in enumerate(pairs) if place in taken]
    real.clips = [pair.real for pair in selection.pairs]
    generated.clips = [pair.samples[0] for pair in selection.pairs]
    samples = [clip for pair in selection.pairs for clip in pair.samples]
    for one, clips in ((real, real.clips), (generated, samples)):
        drawn = {clip.video for clip in clips}
        one.not_drawn = [one.side.videos[n].name for n in one.usable if n not in drawn]
        one.usable = [n for n in one.usable if n in drawn]


def _matched(selection: Selection, settings: MeasureConfig) -> list[PairClips]:
    real, generated = selection.sides
    names = [[video.key for video in one.videos()] for one in (real, generated)]
    pairs, late = [], {}
    numbers = generated.usable
    for pair in pair_up(*names)[0]:
        [truth] = _clips(real, real.usable[pair.real], selection.reading, settings)
        begin, samples = truth.start - settings.start_of("real"), []
        for place in pair.samples:
            [clip] = _clips(generated, numbers[place], selection.reading, settings)
            behind = clip.start - settings.start_of("generated")
            if behind == begin:
                samples.append(clip)
            else:
                late[clip.video] = (
                    f"its central clip begins at frame {behind} after the skipped ones, "
                    f"the real one's at frame {begin}"
                )
        if samples:
            pairs.append(PairClips(pair.name, truth, samples))
    generated.leave_out(late)
    if not pairs:
        listed = [f"{one.side.label} {few(own)}" for one, own in zip(selection.sides, names)]
        why = few([f"{name}: {reason}" for name, reason in generated.left_out.items()], "; ")
        late_ones = f" ({why[:300]})" if late else ""
        rule = "no generated video has a real one's name"
        raise UserError(f"{rule}: {'; '.join(listed)}{late_ones}")
    return pairs
