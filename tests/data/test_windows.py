"""Test the places, the frames and the splits of windows of recordings."""

import itertools
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from dataset_tools import all_of
from PIL import Image

from tfvrnn import media
from tfvrnn.cli.prepare import Options
from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import make_dataset, video_folder, windows

MODEL = ModelConfig(image_size=16, width=8, groups=2, latent_resolutions=(1,), context_frames=1)
SPLITS = ("train", "validation", "test")


def recording(folder, pictures):
    """Write pictures at twice their size as a folder of images."""
    folder.mkdir(parents=True)
    for t, picture in enumerate(media.enlarge(pictures, 2)):
        Image.fromarray(picture).save(folder / f"{t:03}.png", compress_level=1)


def numbered(count, first=0, height=24, width=32):
    """Make pictures, where number t has brightness first + t."""
    values = np.arange(first, first + count, dtype=np.uint8)
    return np.tile(values[:, None, None, None], (1, height, width, 3))


def prepare(root, **options):
    options = {"size": 16, "clip_frames": 3, "windows": 24} | options
    return video_folder.prepare(root, root.parent / "data", **options)


def stored(prepared, split):
    dataset = tfds.builder_from_directory(prepared.folder).as_dataset(split)
    return list(dataset.as_numpy_iterator())


def test_windows_lie_half_a_window_apart_and_reach_the_edges():
    assert windows.corners(192, 64) == [0, 32, 64, 96, 128]
    assert windows.corners(144, 64) == [0, 40, 80]
    assert windows.corners(64, 64) == [0]
    assert windows.corners(90, 64) == [13]
    for length in range(96, 700):
        found = windows.corners(length, 64)
        assert found[0] == 0 and found[-1] == length - 64
        assert {True} == {32 <= b - a < 64 for a, b in itertools.pairwise(found)}


def test_every_window_holds_its_part_of_the_averaged_picture(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (9, 24, 32, 3), np.uint8)
    recording(tmp_path / "videos" / "a", pictures)
    prepared = prepare(tmp_path / "videos")
    assert prepared.videos == dict.fromkeys(SPLITS, 6)
    for clip, split in enumerate(SPLITS):
        expected = {
            f"a row {row} column {column} frame {3 * clip}": pictures[
                3 * clip : 3 * clip + 3, 8 * row : 8 * row + 16, 8 * column : 8 * column + 16
            ]
            for row in range(2)
            for column in range(3)
        }
        found = stored(prepared, split)
        assert {record["first_frame"] for record in found} == {3 * clip}
        found = {record["name"].decode(): record["video"] for record in found}
        assert found.keys() == expected.keys()
        for name, video in expected.items():
            np.testing.assert_array_equal(found[name], video)


def test_every_video_is_split_by_time_and_no_frame_is_in_two_splits(tmp_path):
    recording(tmp_path / "videos" / "a", numbered(32))
    recording(tmp_path / "videos" / "b", numbered(15, first=100))
    prepared = prepare(tmp_path / "videos", test_fraction=0.2)
    # There are 10 and 5 clips, with six windows each. The two frames after the tenth are no clip.
    assert prepared.videos == {"train": 6 * (7 + 3), "validation": 6 * 2, "test": 6 * 3}
    data = DataConfig("video_folder", str(tmp_path / "data"), horizon=2, batch_size=6)
    expected = {
        "train": {*range(21), *range(100, 109)},
        "validation": {*range(21, 24), *range(109, 112)},
        "test": {*range(24, 30), *range(112, 115)},
    }
    for split, frames in expected.items():
        clips = make_dataset(data, MODEL, split)
        clips = all_of(clips.take(prepared.videos[split] // 6))
        values, counts = np.unique(clips[:, :, 0, 0, 0], return_counts=True)
        assert set(values) == frames and set(counts) == {6}


def test_files_of_a_recording_follow_in_time_and_are_not_too_many():
    spans = windows.split_in_time(6000, 0.1)
    assert {split: len(clips) for split, clips in spans.items()} == {
        "train": 5130, "validation": 270, "test": 600,
    }  # fmt: skip
    shards = windows.shards_of("a", "sha", spans)
    assert [shard.split for shard in shards] == ["train"] * 467 + ["validation"] * 270 + [
        "test"
    ] * 300
    ends = [first + clips for _, [[_, _, first, clips]] in shards]
    assert [first for _, [[_, _, first, _]] in shards] == [0, *ends[:-1]] and ends[-1] == 6000


def test_one_clip_is_held_and_a_video_decoded_once_by_its_files():
    decoded, opened = [], []

    def open_(name):
        opened.append(name)
        for picture in numbered(12):
            decoded.append(picture)
            yield picture

    reader = windows.Reader(open_, {"clip_frames": 3, "side": 16, "channels": 1, "windows": 24})
    record = next(reader.records("a", "a", 1, 1))
    assert len(decoded) == 6 and record["video"].shape == (3, 16, 16, 1)
    assert list(record["video"][:, 0, 0, 0]) == [3, 4, 5]
    assert [r["first_frame"] for r in reader.records("a", "a", 2, 2)] == [6] * 6 + [9] * 6
    assert len(decoded) == 12 and opened == ["a"]
    with pytest.raises(UserError, match="a changed while it was prepared"):
        list(reader.records("a", "a", 4, 1))


def test_an_interrupted_preparation_continues_with_the_next_file(tmp_path, monkeypatch):
    pictures = np.random.default_rng(0).integers(0, 256, (18, 24, 32, 3), np.uint8)
    recording(tmp_path / "whole" / "videos" / "a", pictures)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "videos").symlink_to(tmp_path / "whole" / "videos")
    whole = prepare(tmp_path / "whole" / "videos")
    made, own = [], windows.Reader._clip

    def clip(self, text):
        made.append(text)
        if len(made) == 3:
            raise KeyboardInterrupt
        return own(self, text)

    monkeypatch.setattr(windows.Reader, "_clip", clip)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "cut" / "videos")
    continued = prepare(tmp_path / "cut" / "videos")
    assert len(made) == 3 + 4 and continued.videos == whole.videos
    for split in SPLITS:
        for one, other in zip(stored(continued, split), stored(whole, split), strict=True):
            assert one["name"] == other["name"]
            np.testing.assert_array_equal(one["video"], other["video"])


def test_a_video_that_holds_no_window_or_too_few_clips_is_left_out(tmp_path):
    root = tmp_path / "videos"
    recording(root / "good", numbered(9))
    recording(root / "copy", numbered(9))
    recording(root / "short", numbered(8))
    recording(root / "low", numbered(9, height=11))
    recording(root / "narrow", numbered(9, height=48, width=30))
    recording(root / "damaged", numbered(12, first=50))
    (root / "damaged" / "010.png").write_bytes(b"no picture")
    prepared = prepare(root)
    assert prepared.videos == dict.fromkeys(SPLITS, 2 * 6)
    assert dict(prepared.skipped) == {
        "short": "8 frames are 2 clips: too few for train, validation and test",
        "low": "its pictures of 64x22 are lower than --windows=24",
        "narrow": "at 15x24 its pictures are smaller than a window of 16x16",
        "damaged": "010.png is not an image, after 10 frames that were taken",
    }


def test_nothing_for_windows_is_refused(tmp_path):
    recording(tmp_path / "videos" / "a", numbered(9))
    with pytest.raises(
        UserError, match=r"at least 1 is needed \(a: its pictures of 64x48 are lower than"
    ):
        prepare(tmp_path / "videos", windows=49)
    with pytest.raises(UserError, match=r"at least 1 is needed \(a: 9 frames are 3 clips: too few"):
        prepare(tmp_path / "videos", test_fraction=0.7)
    recording(tmp_path / "videos" / "test" / "b", numbered(9, first=9))
    with pytest.raises(UserError, match="no folders named after splits"):
        prepare(tmp_path / "videos")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": 32}, "must fit into the picture. Received: windows=32, size=64"),
        ({"windows": -1}, "`windows` must be at least 0. Received: -1"),
        ({"windows": 64, "whole": True}, "`windows` and `whole` exclude each other"),
        ({"windows": 64, "dataset": "pusht"}, "only video_folder has `windows`.* 64 for pusht"),
    ],
)
def test_windows_are_refused_where_they_have_no_meaning(options, message):
    with pytest.raises(UserError, match=message):
        Options(source="videos", **options)


def test_without_windows_the_plan_is_that_of_earlier_versions(tmp_path):
    for number in range(2):
        recording(tmp_path / "videos" / str(number), numbered(3, first=number))
    prepared = prepare(tmp_path / "videos", windows=0)
    plan = json.loads((prepared.folder / "plan.json").read_text())["plan"]
    assert set(plan["options"]) == {
        "side", "channels", "clip_frames", "frame_rate", "stride", "whole",
    }  # fmt: skip
