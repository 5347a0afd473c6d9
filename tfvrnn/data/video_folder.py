"""Your own videos: files and folders of images, prepared as clips of equal length."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from tfvrnn import media
from tfvrnn.config import DataConfig, ModelConfig, UserError, expanded
from tfvrnn.data import tfrecord_reader, tfrecord_writer
from tfvrnn.data.source import VideoSource
from tfvrnn.data.tfrecord_writer import Prepared, Shard, Skipped
from tfvrnn.data.windows import Reader, picture_fault, shards_of, split_in_time
from tfvrnn.dataset_paths import prepared_folder

SPLITS = ("train", "validation", "test")
MOST_A_SHARD = 8  # videos
# Folders and files of operating systems, besides the hidden ones (.x).
SYSTEM = ("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information")
SYSTEM += ("thumbs.db", "desktop.ini", "lost+found")
# Files that lie beside videos: skipped without a message.
COMPANIONS = (".txt", ".md", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".log")
COMPANIONS += (".srt", ".vtt", ".ass", ".sub", ".idx", ".nfo", ".html", ".pdf", ".py", ".sh")
COMPANIONS += (".wav", ".mp3", ".m4a", ".aac", ".flac", ".thm", ".lrv", ".ini")


def make_source(data: DataConfig, model: ModelConfig, split: str, start: int) -> VideoSource:
    """Read clips with any start in training, their first frames in validation and test.

    Without a validation split, validation takes the last videos of train, and training uses none
    of their clips.
    """
    return tfrecord_reader.prepared_source(data, model, split, start, whole_files=True)


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
    windows: int = 0,
) -> Prepared:
    """Prepare a folder of videos once.

    Videos are files (`media.VIDEOS`) and folders of `media.IMAGES`, anywhere below `source`. If
    `source` has folders named train and test (and validation), these are the splits. Otherwise the
    content of a video decides its split. With `windows` every video is split by time instead.

    Args:
        size: side of the square frames.
        channels: 1 or 3.
        clip_frames: length of the clips that videos are cut into, without overlap.
        frame_rate: frames per second to take; 0: all frames.
        stride: temporal stride; take every n-th of these frames.
        whole: fit the whole picture in, with black borders, instead of the centre square.
        test_fraction: fraction of the videos for test, if no folders divide them; with `windows`,
            fraction of the time.
        windows: height to which pictures are averaged down before they are cut into squares; 0: no
            windows.

    Raises:
        UserError: no such folder, fewer than two videos that can be used (one with `windows`), or
            the same content in two splits; see also `tfrecord_writer.write_dataset`.
    """
    root = expanded(source)
    options = {
        "side": size,
        "channels": channels,
        "clip_frames": clip_frames,
        "frame_rate": frame_rate,
        "stride": stride,
        "whole": whole,
    }
    if windows:  # the plan has it only then, because earlier plans lack it
        options["windows"] = windows
    shards, left_out = (_by_time if windows else _by_video)(root, test_fraction, options)
    videos = {name for shard in shards for name, *_ in shard.work}
    unusable = [[name, ""] for name in left_out]
    shards[0] = shards[0]._replace(work=unusable + shards[0].work)  # reported with the first shard
    reader = Reader(lambda name: _frames(root / name, options), options)

    def make(work: list[list]) -> Iterator[dict | Skipped]:
        for name, content, *span in work:
            if not content:
                yield Skipped(_text(name), _text(left_out[name]))
            elif windows:
                yield from reader.records(name, _text(name), *span)
            else:
                yield from _clips(root / name, name, options)

    features = {
        "video": tfds.features.Video(
            shape=(clip_frames, size, size, channels), encoding_format="png"
        ),
        "name": tfds.features.Text(),
        "first_frame": tfds.features.Scalar(np.int64),
    }
    folder = prepared_folder("video_folder", data_dir, size, channels)
    text = f"Clips of {clip_frames} frames of {len(videos)} videos."
    return tfrecord_writer.write_dataset(folder, features, shards, make, options, text)


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
        yield Skipped(_text(name), _text(_reason(error, path)) + after)
    else:
        if not clips:
            yield Skipped(_text(name), f"{len(taken)} frames, fewer than the {length} of a clip")


def _reason(error: media.VideoError, path: Path) -> str:
    """Describe the fault of a video, without its name: 'has no frames', '3.png is not an image'."""
    return str(error).removeprefix(str(path)).lstrip(os.sep).strip()


def _text(name: str) -> str:
    """Convert a name to text, even if its bytes are not UTF-8: 'bad\\xff.mp4'."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _frames(path, options) -> Iterator[np.ndarray]:
    rate = options["frame_rate"]
    frames = media.frames_at(path, rate) if rate else media.frames_of(path)
    return itertools.islice(frames, 0, None, options["stride"])


def find_videos(root: Path) -> list[Path]:
    """List the video files and folders of images below a folder, by name."""
    return sort_out(root)[0]


def sort_out(root: Path) -> tuple[list[Path], dict[str, str]]:
    """List the videos below a folder, and why each other file was left out.

    Hidden files, files of operating systems, companions (texts, subtitles, sound) and prepared
    datasets are in neither list.
    """

    def stop(error):
        raise error

    videos, others, over = [], {}, root.resolve().parents
    for name, below, names in os.walk(root, onerror=stop, followlinks=True):
        folder = Path(name)
        above = [parent.resolve() for parent in folder.parents if parent.is_relative_to(root)]
        if folder.resolve() in (*over, *above) or tfrecord_writer.is_prepared(names):
            below.clear()  # a link back to a folder above, or a dataset that was prepared here
            continue
        below[:] = [name for name in below if not _hidden(name)]
        own, images, unknown = _kinds(folder / name for name in sorted(names) if not _hidden(name))
        videos += own or [folder][: len(images)]
        beside = "beside videos: the frames of a video need a folder of their own"
        others |= _grouped(root, images if own else [], beside)
        others |= _grouped(root, unknown, f"not of the known kinds: {_known()}")
    return sorted(videos), others


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _kinds(paths) -> tuple[list[Path], list[Path], list[Path]]:
    """Sort paths into (video files, images, files that may be meant as one of them)."""
    videos, images, unknown = [], [], []
    for path in paths:
        ending = path.suffix.lower()
        if ending in media.VIDEOS or (ending == ".webp" and _is_animated(path)):
            videos.append(path)
        elif ending in media.IMAGES:
            images.append(path)
        elif ending not in COMPANIONS:
            unknown.append(path)
    return videos, images, unknown


def _is_animated(path: Path) -> bool:
    try:
        return media.is_animated(path)
    except OSError:  # reported as an image that cannot be read
        return False


def _grouped(root: Path, paths: list[Path], reason: str) -> dict[str, str]:
    """Group paths as {'thumbnails/*.jpg': reason}, so that a thousand of them take one line."""
    groups = {}
    for path in paths:
        groups.setdefault(path.suffix, []).append(path)
    found = {}
    for ending, group in groups.items():
        name = group[0].relative_to(root)
        if len(group) == 1:
            found[str(name)] = reason
        else:
            found[str(name.with_name(f"*{ending}"))] = f"{len(group)} files {reason}"
    return found


def _known() -> str:
    return f"videos ({' '.join(media.VIDEOS)}), images ({' '.join(media.IMAGES)})"


def _looked_through(root: Path, options) -> tuple[dict[Path, str | None], dict[str, str]]:
    """Inspect a folder: ({video: fault or None}, {name: fault of a video or another file}).

    Raises:
        UserError: nothing there.
    """
    if not root.is_dir():
        raise UserError(
            f"{root} is a file: name its folder" if root.exists() else f"no folder {root}"
        )
    found, others = sort_out(root)
    if not found:
        raise UserError(f"no videos in {root}: known kinds are {_known()}")
    faults = {path: _fault(path, options) for path in found}
    unusable = {str(path.relative_to(root)): fault for path, fault in faults.items() if fault}
    return faults, unusable | others


def _by_time(root: Path, test_fraction: float, options) -> tuple[list[Shard], dict[str, str]]:
    """Split every video by time: (shards of windows, {name: why it cannot be used}).

    Raises:
        UserError: nothing there, folders that name splits, or no video that can be used.
    """
    faults, left_out = _looked_through(root, options)
    if named := _named_after_splits(root):
        raise UserError(
            f"--windows splits every video by time: {root} must have no folders named after "
            f"splits. Received: {', '.join(named)}"
        )
    shards, seen = [], set()
    for path in (path for path, fault in faults.items() if not fault):
        name, content = str(path.relative_to(root)), digest(path)
        frames, shape, fault = _measured(path, options)
        clips = frames // options["clip_frames"]
        splits = split_in_time(clips, test_fraction)
        wrong = picture_fault(shape, options["windows"], options["side"])
        if wrong or not splits:
            left_out[name] = (
                wrong
                or fault
                or (f"{frames} frames are {clips} clips: too few for train, validation and test")
            )
        elif content not in seen:  # a copy adds nothing
            shards += shards_of(name, content, splits)
            left_out |= {name: f"{fault}, after {frames} frames that were taken"} if fault else {}
        seen.add(content)
    if not shards:
        raise UserError(f"no video for train: 0 can be used, at least 1 is needed{_why(left_out)}")
    return shards, left_out


def _measured(path: Path, options) -> tuple[int, tuple[int, ...], str | None]:
    """Measure a video: (number of frames that can be taken, their shape, fault that ends them)."""
    count, shape = 0, ()
    try:
        for frame in _frames(path, options):
            count, shape = count + 1, frame.shape
    except media.VideoError as error:
        return count, shape, _reason(error, path)
    return count, shape, None


def _by_video(root: Path, test_fraction: float, options) -> tuple[list[Shard], dict[str, str]]:
    """Split by video: (shards of clips, {name: why it cannot be used}); for errors see `_split`."""
    splits, left_out = _split(root, test_fraction, options)
    shards = [
        Shard(split, names[k : k + many])
        for split, names in splits.items()
        # Few enough that the last shard of train can be for validation, with all its videos.
        for many in [min(max(1, len(names) // 20), MOST_A_SHARD)]
        for k in range(0, len(names), many)
    ]
    return shards, left_out


def _split(root: Path, test_fraction: float, options) -> tuple[dict, dict]:
    """Split videos: ({split: [(name, sha256)]} ordered by content, {name: why it cannot be used}).

    Raises:
        UserError: nothing there, too few videos, or the same content in two splits.
    """
    faults, left_out = _looked_through(root, options)
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
        raise UserError(
            f"no video for {missing[0]}: {len(first)} can be used, at least 2 are needed"
            f"{_why(left_out)}"
        )
    return {split: own for split, own in splits.items() if own}, left_out


def _why(left_out: dict[str, str]) -> str:
    """Write the first reasons in brackets; empty if there are none."""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
    return f" ({_text(reasons)[:300]})" * bool(reasons)


def _fault(path: Path, options) -> str | None:
    """Return why a video gives no clip, or None."""
    taken, wanted = 0, options["clip_frames"]
    try:
        cut_off = path.is_file() and media.ends_prematurely(path)
        for _ in itertools.islice(_frames(path, options), None if cut_off else wanted):
            taken += 1
        for part in media.images_in(path) if path.is_dir() else []:
            part.open("rb").close()  # `digest` reads all, also those after the first clip
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except media.VideoError as error:
        return _reason(error, path)
    return None if taken == wanted else f"{taken} frames, fewer than the {wanted} of a clip"


def _named_after_splits(root: Path) -> list[str]:
    """List the folders that are named after splits, in small letters or capitals."""
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    return [name for name in folders if name.casefold() in SPLITS]


def _folders(root: Path):
    """Return a function from (name, content) to the split by folder; None without such folders.

    Raises:
        UserError: a folder is named after a split, but train and test are not both there. The
            function raises it for a video in none of the folders train, test and validation.
    """
    named = _named_after_splits(root)
    if not named:
        return None
    if not {"train", "test"} <= {name.casefold() for name in named}:
        raise UserError(f"{root} has a folder {named[0]}, but not both train and test")

    def split_of(name, _):
        # No parts: images in the root itself.
        split = name.parts[0].casefold() if name.parts else ""
        if split not in SPLITS:
            raise UserError(f"{root / name} lies in none of the folders {', '.join(SPLITS)}")
        return split

    return split_of


def _drawn(usable, test_fraction: float):
    """Return a function from (name, content) to the split by content."""
    contents = list(dict.fromkeys(content for content, _ in usable))
    most = len(contents) - 1  # one is left for training
    for_test = set(contents[: max(1, min(most, round(test_fraction * len(contents))))])
    return lambda _, content: "test" if content in for_test else "train"


def digest(path: Path) -> str:
    """Compute the sha256 of a file, or of the images of a folder."""
    whole = hashlib.sha256()
    for part in media.images_in(path) if path.is_dir() else [path]:
        with part.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
