import dataclasses
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from dataset_tools import all_of
from PIL import Image

from tfvrnn import media
from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import make_dataset, video_folder

MODEL = ModelConfig(image_size=16, width=8, groups=2, latent_resolutions=(1,))


def frames(number, count=12, height=24, width=32):
    """Make video v, whose frame t has brightness 20 v + 4 t."""
    values = (20 * number + 4 * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, height, width, 3))


def write_images(folder, video):
    folder.mkdir(parents=True)
    for t, frame in enumerate(video):
        Image.fromarray(frame).save(folder / f"{t:03}.png")


@pytest.fixture
def videos(tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    for number, ending in enumerate(("mp4", "avi", "mov", "webm", "gif")):
        name = f"video.{ending}"
        if ending in ("avi", "mov"):
            media.write_video(root / "x.mp4", frames(number), 8)
            remux(root / "x.mp4", root / name)
        else:
            media.write_video(root / name, frames(number), 8)
    write_images(root / "below" / "images", frames(5))
    return root


def remux(source, target):
    """Put the same frames into another container."""
    import av

    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = write.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for frame in read.decode(video=0):
            for packet in stream.encode(
                av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"))
            ):
                write.mux(packet)
        for packet in stream.encode():
            write.mux(packet)
    source.unlink()


def prepare(root, tmp_path, **options):
    return video_folder.prepare(root, tmp_path / "data", size=16, **{"clip_frames": 5} | options)


def stored(prepared, split):
    dataset = tfds.builder_from_directory(prepared.folder).as_dataset(split)
    return list(dataset.as_numpy_iterator())


def test_every_kind_of_video_becomes_clips(videos, tmp_path):
    prepared = prepare(videos, tmp_path, test_fraction=0.3)
    assert not prepared.skipped and sum(prepared.videos.values()) == 6 * 2
    assert prepared.videos["test"] == 2 * 2
    records_ = stored(prepared, "train") + stored(prepared, "test")
    names = {record["name"].decode() for record in records_}
    assert names == {f"video.{e}" for e in ("mp4", "avi", "mov", "webm", "gif")} | {"below/images"}
    in_test = {record["name"] for record in stored(prepared, "test")}
    assert not in_test & {record["name"] for record in stored(prepared, "train")}
    for record in records_:
        assert record["video"].shape == (5, 16, 16, 3)
        brightness = record["video"].mean(axis=(1, 2, 3))
        # Codecs keep a brightness only to within some levels.
        np.testing.assert_allclose(brightness[-1] - brightness[0], 16, atol=6)
    data = DataConfig("video_folder", str(tmp_path / "data"), horizon=2, batch_size=3)
    batch = next(iter(make_dataset(data, MODEL, "train")))
    assert batch.shape == (3, 4, 16, 16, 3)


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Train", "TEST")])
def test_folders_named_train_and_test_are_the_splits(tmp_path, train, test):
    root = tmp_path / "videos"
    write_images(root / train / "a", frames(0))
    write_images(root / train / "b", frames(1))
    write_images(root / test / "c", frames(2))
    prepared = prepare(root, tmp_path, channels=1)
    assert prepared.videos == {"train": 4, "test": 2}
    assert stored(prepared, "test")[0]["video"].shape == (5, 16, 16, 1)
    write_images(root / test / "copy", frames(0))
    with pytest.raises(UserError, match="are the same video, in two splits"):
        prepare(root, tmp_path / "again")


def test_a_copy_counts_once_and_never_in_both_splits(videos, tmp_path):
    (videos / "copy.mp4").write_bytes((videos / "video.mp4").read_bytes())
    for fraction in (0.1, 0.3, 0.5):
        prepared = prepare(videos, tmp_path / str(fraction), test_fraction=fraction)
        assert sum(prepared.videos.values()) == 6 * 2


def test_frame_rate_and_stride(tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    for number in (0, 1):
        media.write_video(root / f"{number}.gif", frames(5 * number, 12), 10)
    prepared = prepare(root, tmp_path, frame_rate=5, clip_frames=3, test_fraction=0.5)
    steps = np.diff(stored(prepared, "train")[0]["video"].mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(steps, 8, atol=1)
    prepared = prepare(root, tmp_path / "b", stride=3, clip_frames=2, test_fraction=0.5)
    steps = np.diff(stored(prepared, "train")[0]["video"].mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(steps, 12, atol=1)


def test_the_centre_or_the_whole_picture(tmp_path):
    video = np.zeros((5, 24, 48, 3), np.uint8)
    video[:, :, :12] = 255  # left of the centre square
    for split in ("train", "test"):
        write_images(
            tmp_path / "videos" / split / "a", video if split == "train" else video[::-1] // 2
        )
    centre = stored(prepare(tmp_path / "videos", tmp_path), "train")[0]["video"]
    assert centre.max() == 0
    whole = stored(prepare(tmp_path / "videos", tmp_path / "b", whole=True), "train")[0]["video"]
    assert whole[0, :4].max() == whole[0, 12:].max() == 0  # borders above and below
    assert whole[0, 4:12, :4].min() == 255 and whole[0, 4:12, 5:].max() == 0


def test_what_cannot_be_read_is_listed_and_the_rest_prepared(videos, tmp_path):
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "text.mp4").write_text("not a video at all")
    content = (videos / "video.mp4").read_bytes()
    (videos / "cut.mp4").write_bytes(content[: len(content) // 3])
    media.write_video(videos / "short.gif", frames(7, 3), 8)
    write_images(videos / "late", frames(9))
    (videos / "late" / "011.png").unlink()
    (videos / "late" / "011.png").symlink_to(videos / "nowhere.png")  # after the first clip
    write_images(videos / "changing", frames(8))
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(videos / "changing" / "004.png")
    prepared = prepare(videos, tmp_path, test_fraction=0.3)
    reasons = dict(prepared.skipped)
    assert set(reasons) == {"empty.mp4", "text.mp4", "cut.mp4", "short.gif", "changing", "late"}
    assert "3 frames, fewer than the 5 of a clip" in reasons["short.gif"]
    assert "different sizes" in reasons["changing"]
    assert all(reasons.values()) and sum(prepared.videos.values()) >= 4


def test_nothing_to_prepare_is_refused(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        prepare(tmp_path / "none", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no videos in"):
        prepare(tmp_path / "empty", tmp_path)
    (tmp_path / "empty" / "one.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match="no video for train: 0 can be used, at least 2 are needed"):
        prepare(tmp_path / "empty", tmp_path)
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_a_wanted_frame_rate_that_is_not_there(tmp_path):
    media.write_video(tmp_path / "a.gif", frames(0), 10)
    with pytest.raises(UserError, match="10 frames per second, fewer than 60"):
        prepare(tmp_path, tmp_path, frame_rate=60)


def test_wrong_channels_are_refused(videos, tmp_path):
    prepare(videos, tmp_path, test_fraction=0.3)
    data = DataConfig("video_folder", str(tmp_path / "data"), horizon=2)
    with pytest.raises(UserError, match="--size=16 --channels=1"):
        make_dataset(data, dataclasses.replace(MODEL, channels=1), "train")
    assert len(all_of(make_dataset(data, MODEL, "test"))) == 4


def write_timed(path, seconds, size=16):
    """Write grey frames shown from given times on; frame t has brightness 40 t % 250."""
    import av

    with av.open(str(path), "w") as write:
        stream = write.add_stream("libx264", rate=90_000)
        stream.width = stream.height = size
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 90_000)
        stream.options = {"preset": "ultrafast", "crf": "1"}
        for number, time in enumerate(seconds):
            frame = av.VideoFrame.from_ndarray(
                np.full((size, size, 3), 40 * number % 250, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = round(time * 90_000), Fraction(1, 90_000)
            write.mux(stream.encode(frame))
        write.mux(stream.encode())


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("true", "wanted"),
    [(Fraction(24000, 1001), 24), (Fraction(30000, 1001), 30), (Fraction(60000, 1001), 60)],
)
def test_the_rates_of_television_are_their_neighbours(tmp_path, true, wanted):
    write_timed(tmp_path / "a.mp4", [k / true for k in range(1300)])
    taken = list(video_folder._frames(tmp_path / "a.mp4", {"frame_rate": wanted, "stride": 1}))
    assert len(taken) == 1300
    taken = list(video_folder._frames(tmp_path / "a.mp4", {"frame_rate": wanted / 2, "stride": 1}))
    assert abs(len(taken) - 650) <= 1


def test_frames_are_taken_by_the_time_they_are_shown(tmp_path):
    write_timed(tmp_path / "a.mp4", [0, 0.1, 0.2, 1.2, 2.2, 2.3])
    taken = video_folder._frames(tmp_path / "a.mp4", {"frame_rate": 1, "stride": 1})
    found = [round(float(frame.mean())) for frame in taken]
    np.testing.assert_allclose(found, [0, 80, 120], atol=4)  # at 0, 1 and 2 seconds


def test_linked_folders_are_walked_but_never_in_circles(tmp_path):
    write_images(tmp_path / "elsewhere" / "images", frames(1))
    media.write_video(tmp_path / "elsewhere" / "a.gif", frames(2), 8)
    root = tmp_path / "source"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    (root / "train").mkdir()
    (root / "train" / "shared").symlink_to(tmp_path / "elsewhere")
    found = [path.relative_to(root) for path in video_folder.find_videos(root)]
    assert list(map(str, found)) == [
        "link/a.gif", "link/images", "train/shared/a.gif", "train/shared/images",
    ]  # fmt: skip


def test_a_link_to_a_folder_above_is_not_followed_from_a_relative_one(tmp_path, monkeypatch):
    for name in ("source", "outside"):
        (tmp_path / name).mkdir()
        media.write_video(tmp_path / name / "a.gif", frames(1), 8)
    (tmp_path / "source" / "up").symlink_to("..")
    monkeypatch.chdir(tmp_path / "source")
    assert list(map(str, video_folder.find_videos(Path()))) == ["a.gif"]
    (tmp_path / "source" / "below").mkdir()
    monkeypatch.chdir(tmp_path / "source" / "below")
    assert list(map(str, video_folder.find_videos(Path("..")))) == ["../a.gif"]


def test_a_plan_of_the_user_is_no_prepared_dataset(tmp_path):
    media.write_video(tmp_path / "a.gif", frames(1), 8)
    for name in ("plan.json", "dataset_info.json"):
        (tmp_path / name).write_text("{}")
    assert [path.name for path in video_folder.find_videos(tmp_path)] == ["a.gif"]


def test_a_dataset_within_its_source_is_no_part_of_it(tmp_path):
    for number in range(3):
        write_images(tmp_path / str(number), frames(number))
    first = prepare(tmp_path, tmp_path)
    assert not first.skipped and prepare(tmp_path, tmp_path).folder == first.folder


def test_a_name_that_is_not_text_is_written_in_escapes(tmp_path):
    root = tmp_path / "source"
    root.mkdir()
    for number, name in enumerate((b"a.gif", b"b.gif", b"bad\xff.gif")):
        (root / os.fsdecode(name)).write_bytes(media.to_gif(frames(number), 8))
    prepared = prepare(root, tmp_path)
    names = {r["name"] for split in ("train", "test") for r in stored(prepared, split)}
    assert names == {b"a.gif", b"b.gif", b"bad\\xff.gif"}


def test_one_video_is_not_enough(tmp_path):
    media.write_video(tmp_path / "a.gif", frames(0, 12), 8)
    with pytest.raises(UserError, match="no video for train: 1 can be used, at least 2 are needed"):
        prepare(tmp_path, tmp_path / "out")


def test_a_single_clip_is_for_validation(tmp_path):
    for number in range(2):
        write_images(tmp_path / "videos" / str(number), frames(number, 5))
    prepare(tmp_path / "videos", tmp_path)
    data = DataConfig("video_folder", str(tmp_path / "data"), horizon=2, batch_size=1)
    with pytest.raises(UserError, match="is empty: its only clip is for validation"):
        make_dataset(data, MODEL, "train")


def test_validation_shares_no_video_with_train(tmp_path):
    for number in range(5):
        values = np.uint8(50 * number + np.arange(40))[:, None, None, None]
        write_images(tmp_path / "videos" / str(number), np.tile(values, (1, 24, 32, 3)))
    prepare(tmp_path / "videos", tmp_path)
    data = DataConfig("video_folder", str(tmp_path / "data"), horizon=2, batch_size=1)

    def videos_of(split, count=60):
        clips = make_dataset(data, MODEL, split).unbatch().take(count)
        return {int(clip[0, 0, 0, 0]) // 50 for clip in clips.as_numpy_iterator()}

    assert not videos_of("train") & videos_of("validation")


@pytest.mark.parametrize("place", range(4))
def test_an_unreadable_video_takes_no_place_in_a_split(tmp_path, place):
    for number in range(3):
        write_images(tmp_path / "videos" / str(number), frames(number))
    (tmp_path / "videos" / "bad.mp4").write_bytes(bytes([place]) * 100)
    prepared = prepare(tmp_path / "videos", tmp_path)
    assert prepared.videos == {"train": 4, "test": 2}
    assert [name for name, _ in prepared.skipped] == ["bad.mp4"]


def test_images_beside_the_split_folders_are_refused(tmp_path):
    write_images(tmp_path / "videos", frames(0))
    for split in ("train", "test"):
        write_images(tmp_path / "videos" / split / "a", frames(len(split)))
    with pytest.raises(UserError, match="lies in none of the folders train, "):
        prepare(tmp_path / "videos", tmp_path)


def test_half_of_the_split_folders_are_refused(tmp_path):
    for split in ("train", "validation"):
        write_images(tmp_path / "videos" / split / "a", frames(len(split)))
    with pytest.raises(UserError, match="not both train and test"):
        prepare(tmp_path / "videos", tmp_path)


def test_copies_are_recognised_by_their_pictures_only(tmp_path):
    for split in ("train", "test"):
        write_images(tmp_path / "videos" / split / "a", frames(0))
    (tmp_path / "videos" / "test" / "a" / ".DS_Store").write_bytes(b"x")
    with pytest.raises(UserError, match="are the same video, in two splits"):
        prepare(tmp_path / "videos", tmp_path)


def test_empty_files_are_no_copies_of_each_other(tmp_path):
    for number in range(2):
        write_images(tmp_path / "videos" / str(number), frames(number))
        (tmp_path / "videos" / f"{number}.mp4").write_bytes(b"")
    (tmp_path / "videos" / "link.mp4").symlink_to(tmp_path / "nowhere.mp4")
    prepared = prepare(tmp_path / "videos", tmp_path)
    assert {name for name, _ in prepared.skipped} == {"0.mp4", "1.mp4", "link.mp4"}


def test_images_are_in_the_order_of_their_numbers(tmp_path):
    for number in range(12):
        Image.fromarray(frames(0)[number]).save(tmp_path / f"{number + 1}.png")
    np.testing.assert_array_equal(media.read_video(tmp_path), frames(0))


def test_one_video_is_left_for_training(tmp_path):
    for number in range(3):
        write_images(tmp_path / "videos" / str(number), frames(number))
    prepared = prepare(tmp_path / "videos", tmp_path, test_fraction=0.9)
    assert prepared.videos["test"] == 4 and len(prepared.videos) == 2
