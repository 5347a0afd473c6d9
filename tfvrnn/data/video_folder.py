"""Videos of one's own: files and folders of images, prepared into clips of equal length."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from tfvrnn import media
from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import record_writer, records
from tfvrnn.data.record_writer import Prepared, Shard, Skipped
from tfvrnn.data.source import Source
from tfvrnn.prepared import prepared_folder

SPLITS = ("train", "validation", "test")
MOST_A_SHARD = 8  # videos
SAME_RATE = 0.005  # 29.97 and 30 frames per second are meant to be the same
ENDINGS = (".mp4", ".avi", ".mov", ".webm", ".gif", ".mkv", ".m4v", ".mpg", ".mpeg")


def make_source(data: DataConfig, model: ModelConfig, split: str, start: int) -> Source:
    """Any start within a clip in training, its first frames in validation and test.

    Without a validation split its clips are of the last videos of train, trained on in none.
    """
    return records.prepared_source(data, model, split, start, whole_files=True)


def prepare(
    source: str | Path,
    data_dir: str | Path,
    size: int = 64,
    channels: int = 3,
    clip_frames: int = 30,
    frame_rate: float = 0.0,
    stride: int = 1,
    whole: bool = False,
    test_fraction: float = 0.1,
) -> Prepared:
    """Prepare a folder of videos, once.

    Videos are files (mp4, avi, mov, webm, gif, …) and folders of images, anywhere below `source`.
    Where `source` has folders named train and test (and validation), these are the splits; else
    every video goes to one by its content.

    Args:
        size: side of the square frames. channels: 1 or 3.
        clip_frames: length of the clips that videos are cut into, without overlap.
        frame_rate: frames per second that are taken; 0: all.
        stride: every n-th of them.
        whole: fit the whole picture in, with black borders, instead of the centre square.
        test_fraction: of the videos, where the folders do not say.

    Raises:
        UserError: no such folder, fewer than two videos that can be used, the same content in
            two splits; see also `record_writer.write_dataset`.
    """
    root = Path(source).expanduser()
    options = {
        "side": size,
        "channels": channels,
        "clip_frames": clip_frames,
        "frame_rate": frame_rate,
        "stride": stride,
        "whole": whole,
    }
    splits, unusable = _split(root, test_fraction, options)
    shards = [
        Shard(split, names[k : k + many])
        for split, names in splits.items()
        # Few enough that the last of train can be for validation, with its videos.
        for many in [min(max(1, len(names) // 20), MOST_A_SHARD)]
        for k in range(0, len(names), many)
    ]
    shards[0] = shards[0]._replace(work=unusable + shards[0].work)  # told of with the first

    def make(work: list[list[str]]) -> Iterator[dict | Skipped]:
        for name, _ in work:
            yield from _clips(root / name, name, options)

    features = {
        "video": tfds.features.Video(
            shape=(clip_frames, size, size, channels), encoding_format="png"
        ),
        "name": tfds.features.Text(),
        "first_frame": tfds.features.Scalar(np.int64),
    }
    folder = prepared_folder("video_folder", data_dir, size, channels)
    text = f"Clips of {clip_frames} frames of {sum(map(len, splits.values()))} videos."
    return record_writer.write_dataset(folder, features, shards, make, options, text)


def _clips(path: Path, name: str, options) -> Iterator[dict | Skipped]:
    length, shape = options["clip_frames"], (options["side"],) * 2 + (options["channels"],)
    taken, clips = [], 0
    try:
        for number, frame in enumerate(_frames(path, options)):
            taken.append(media.fit(frame[None], shape, options["whole"])[0])
            if len(taken) == length:
                first = number + 1 - length
                yield {"video": np.stack(taken), "name": _text(name), "first_frame": first}
                taken, clips = [], clips + 1
    except media.VideoError as error:
        after = f", after {clips} clips that were taken" if clips else ""
        reason = str(error).removeprefix(str(path)).strip()
        yield Skipped(_text(name), _text(reason) + after)
    else:
        if not clips:
            yield Skipped(_text(name), f"{len(taken)} frames, a clip has {length}")


def _text(name: str) -> str:
    """A name as text, also where its bytes are no UTF-8: 'bad\\xff.mp4'."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _frames(path, options) -> Iterator[np.ndarray]:
    timed, wanted = media.timed_frames_of(path), options["frame_rate"]
    if wanted:
        rate = media.frame_rate(path)
        if rate is None:
            raise media.VideoError("has no frame rate")
        if wanted > rate * (1 + SAME_RATE):
            raise media.VideoError(f"has {rate:.5g} frames per second, fewer than {wanted:g}")
        same = abs(wanted / rate - 1) <= SAME_RATE
        frames = _at_own_rate(timed, rate) if same else _at_rate(timed, wanted, 0.25 / rate)
    else:
        frames = (frame for _, frame in timed)
    return itertools.islice(frames, 0, None, options["stride"])


def _at_own_rate(timed, rate: float) -> Iterator[np.ndarray]:
    """Every frame, as often as it is shown: 30 of 29.97 a second are all, none of them twice."""
    shown, before = None, None
    for seconds, frame in _with_times(timed):
        if shown is not None:
            yield from itertools.repeat(shown, round((seconds - before) * rate))
        shown, before = frame, seconds
    if shown is not None:
        yield shown


def _at_rate(timed, rate: float, early: float) -> Iterator[np.ndarray]:
    """The frames that are shown k / rate seconds after the first, or `early` seconds later."""
    due, shown, first = 0, None, None
    for seconds, frame in _with_times(timed):
        first = seconds if first is None else first
        while shown is not None and seconds - first > due / rate + early:
            yield shown
            due += 1
        shown, latest = frame, seconds - first
    if shown is not None and latest > due / rate - early:
        yield shown


def _with_times(timed):
    for seconds, frame in timed:
        if seconds is None:
            raise media.VideoError("has frames without a time")
        yield seconds, frame


def find_videos(root: Path) -> list[Path]:
    """Video files and folders of images below a folder, by name."""

    def stop(error):
        raise error

    found = []
    for name, below, names in os.walk(root, onerror=stop, followlinks=True):
        folder = Path(name)
        if folder.resolve() in [parent.resolve() for parent in folder.parents]:
            below.clear()  # a link back to a folder above
            continue
        paths = [folder / name for name in names]
        if any(path.suffix.lower() in media.IMAGES for path in paths):
            found.append(folder)
        found += [path for path in paths if path.suffix.lower() in ENDINGS]
    return sorted(found)


def _split(root: Path, test_fraction: float, options) -> tuple[dict, list]:
    """({split: [(name, sha256)]}, in an order by content, the same of what cannot be used).

    Raises:
        UserError: nothing there, too few videos, or the same content in two splits.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root}")
    found = find_videos(root)
    if not found:
        raise UserError(f"no videos in {root}: neither files ({', '.join(ENDINGS)}) nor images")
    faults = {path: _fault(path, options) for path in found}
    usable = sorted((digest(path), path) for path, fault in faults.items() if not fault)
    split_of = _folders(root) or _drawn(usable, test_fraction)
    first, splits = {}, {split: [] for split in SPLITS}
    for content, path in usable:
        name = path.relative_to(root)
        split = split_of(name, content)
        before = first.setdefault(content, (split, name))
        if before[0] != split:
            raise UserError(f"{before[1]} and {name} are the same video, in two splits")
        if before[1] == name:  # a copy in the same split adds nothing
            splits[split].append([str(name), content])
    missing = [split for split in ("train", "test") if not splits[split]]
    if missing:
        reasons = "; ".join(f"{p.relative_to(root)}: {f}" for p, f in faults.items() if f)
        raise UserError(
            f"not one video for {missing[0]}: {len(first)} can be used, needed are 2"
            + f" ({_text(reasons)[:300]})" * bool(reasons)
        )
    unusable = [[str(p.relative_to(root)), ""] for p, fault in faults.items() if fault]
    return {split: own for split, own in splits.items() if own}, unusable


def _fault(path: Path, options) -> str | None:
    """Why not one clip can be made of a video."""
    taken, wanted = 0, options["clip_frames"]
    try:
        for _ in itertools.islice(_frames(path, options), wanted):
            taken += 1
    except media.VideoError as error:
        return str(error).removeprefix(str(path)).strip()
    return None if taken == wanted else f"{taken} frames, a clip has {wanted}"


def _folders(root: Path):
    """The split of (name, content) by the folders train, test and validation; None: there are none.

    Raises:
        UserError: only some of them are there; of the function: a video in none of them.
    """
    named = {path.name for path in root.iterdir() if path.is_dir()} & set(SPLITS)
    if not named:
        return None
    if not {"train", "test"} <= named:
        raise UserError(f"{root} has a folder {min(named)}, but not both train and test")

    def split_of(name, _):
        if name.parts[0] not in SPLITS:
            raise UserError(f"{root / name} lies in none of the folders {', '.join(SPLITS)}")
        return name.parts[0]

    return split_of


def _drawn(usable, test_fraction: float):
    """The split of (name, content) by content."""
    contents = list(dict.fromkeys(content for content, _ in usable))
    for_test = set(contents[: max(1, round(test_fraction * len(contents)))])
    return lambda _, content: "test" if content in for_test else "train"


def digest(path: Path) -> str:
    """sha256 of a file, or of the images of a folder."""
    whole = hashlib.sha256()
    for part in media.images_in(path) if path.is_dir() else [path]:
        with part.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
