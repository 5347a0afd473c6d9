"""Videos of one's own: files and folders of images, prepared into clips of equal length."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from tfvrnn import media
from tfvrnn.config import DataConfig, ModelConfig, UserError, prepared_folder
from tfvrnn.data import record_writer, records
from tfvrnn.data.record_writer import Prepared, Shard, Skipped
from tfvrnn.data.source import Source

SPLITS = ("train", "validation", "test")
FILES_A_SHARD = 8
ENDINGS = (".mp4", ".avi", ".mov", ".webm", ".gif", ".mkv", ".m4v", ".mpg", ".mpeg")


def make_source(data: DataConfig, model: ModelConfig, split: str, start: int) -> Source:
    """Any start within a clip in training, its first frames in validation and test."""
    return records.prepared_source(data, model, split, start)


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
        stride: every so manieth of them.
        whole: fit the whole picture in, with black borders, instead of the centre square.
        test_fraction: of the videos, where the folders do not say.

    Raises:
        UserError: no such folder, no videos, the same content in two splits; see also
            `record_writer.write_dataset`.
    """
    root = Path(source).expanduser()
    splits = _split(root, test_fraction)
    options = {
        "side": size,
        "channels": channels,
        "clip_frames": clip_frames,
        "frame_rate": frame_rate,
        "stride": stride,
        "whole": whole,
    }
    shards = [
        Shard(split, names[k : k + FILES_A_SHARD])
        for split, names in splits.items()
        for k in range(0, len(names), FILES_A_SHARD)
    ]

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
                yield {"video": np.stack(taken), "name": name, "first_frame": number + 1 - length}
                taken, clips = [], clips + 1
    except media.VideoError as error:
        yield Skipped(name, str(error).removeprefix(str(path)).strip())
    else:
        if not clips:
            yield Skipped(name, f"{len(taken)} frames, a clip has {length}")


def _frames(path, options) -> Iterator[np.ndarray]:
    frames, wanted = media.frames_of(path), options["frame_rate"]
    if wanted:
        rate = media.frame_rate(path)
        if rate is None:
            raise media.VideoError("has no frame rate")
        if wanted > rate * 1.001:
            raise media.VideoError(f"has {rate:.3g} frames per second, fewer than {wanted:g}")
        # Frame k of the result is the one shown at second k / wanted.
        due = (round(k * rate / wanted) for k in itertools.count())
        frames = _numbered(frames, due)
    return itertools.islice(frames, 0, None, options["stride"])


def _numbered(frames, numbers) -> Iterator[np.ndarray]:
    following = next(numbers)
    for number, frame in enumerate(frames):
        if number == following:
            yield frame
            following = next(numbers)


def find_videos(root: Path) -> list[Path]:
    """Video files and folders of images below a folder, by name."""
    found = []
    for path in [root, *sorted(root.rglob("*"))]:
        if path.is_dir():
            if any(part.suffix.lower() in media.IMAGES for part in path.iterdir()):
                found.append(path)
        elif path.suffix.lower() in ENDINGS:
            found.append(path)
    return found


def _split(root: Path, test_fraction: float) -> dict[str, list[list[str]]]:
    """{split: [(name, sha256)]}, in an order by content.

    Raises:
        UserError: nothing there, or the same content in two splits.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root}")
    found = sorted((record_writer.digest(path), path) for path in find_videos(root))
    if not found:
        raise UserError(f"no videos in {root}: neither files ({', '.join(ENDINGS)}) nor images")
    named = {path.name for path in root.iterdir() if path.is_dir()} & set(SPLITS)
    splits, owner = {}, {}
    tests = max(1, round(test_fraction * len({content for content, _ in found})))
    for number, content in enumerate(dict.fromkeys(content for content, _ in found)):
        owner[content] = "test" if number < tests else "train"
    first = {}
    for content, path in found:
        name = path.relative_to(root)
        split = owner[content]
        if {"train", "test"} <= named:
            split = name.parts[0]
            if split not in SPLITS:
                raise UserError(f"{path} lies in none of the folders {', '.join(SPLITS)}")
        before = first.setdefault(content, (split, name))
        if before[0] != split:
            raise UserError(f"{before[1]} and {name} are the same video, in two splits")
        if before[1] == name:  # a copy in the same split adds nothing
            splits.setdefault(split, []).append([str(name), content])
    return {split: splits[split] for split in SPLITS if split in splits}
