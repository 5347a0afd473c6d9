import io
import os

import numpy as np
import pytest
from PIL import Image

from tfvrnn import media, tensor_ops


def test_pixels_become_the_numbers_that_the_models_see(rng):
    pixels = np.arange(256, dtype=np.uint8)
    found = media.to_float(pixels)
    assert found.dtype == np.float32 and found[0] == 0 and found[255] == 1
    np.testing.assert_array_equal(found, tensor_ops.to_float(pixels))
    np.testing.assert_array_equal(media.to_float(pixels, np.float64), np.arange(256) / 255)
    np.testing.assert_array_equal(media.to_uint8(found), pixels)


def test_strip_lays_time_out_to_the_right_and_videos_below(rng):
    videos = rng.integers(0, 256, (2, 3, 4, 5, 1)).astype(np.uint8)
    picture = media.strip(videos, gap=2)
    assert picture.shape == (2 * 4 + 2, 3 * 5 + 4, 1)
    np.testing.assert_array_equal(picture[6:10, 7:12], videos[1, 1])
    assert np.all(picture[4:6] == 255) and np.all(picture[:, 5:7] == 255)


def test_grid_lays_videos_out_in_rows_and_columns(rng):
    videos = rng.integers(0, 256, (2, 3, 6, 4, 5, 3)).astype(np.uint8)
    video = media.grid(videos, gap=1)
    assert video.shape == (6, 2 * 4 + 1, 3 * 5 + 2, 3)
    np.testing.assert_array_equal(video[:, 5:9, 12:17], videos[1, 2])


def test_gif_keeps_every_frame_size_and_value(rng):
    video = (rng.uniform(size=(5, 8, 6, 1)) > 0.5).astype(np.float32)
    video[2] = video[1]  # equal frames are kept too
    gif = Image.open(io.BytesIO(media.to_gif(video, frames_per_second=4)))
    assert gif.size == (6, 8) and gif.info["loop"] == 0 and gif.n_frames == 5
    for number in range(5):
        gif.seek(number)
        assert gif.info["duration"] == 250
        found = np.asarray(gif.convert("L")) > 127
        np.testing.assert_array_equal(found, video[number, ..., 0] > 0.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_of_equal_frames_is_read_as_so_many(tmp_path, channels):
    video = np.full((5, 8, 6, channels), 90, np.uint8)
    media.write_video(tmp_path / "a.gif", video, 5)
    found = media.read_video(tmp_path / "a.gif")
    assert np.all(found == 90) and found.shape == (5, 8, 6, 3)
    times = [seconds for seconds, _ in media.timed_frames_of(tmp_path / "a.gif")]
    np.testing.assert_allclose(times, [0, 0.2, 0.4, 0.6, 0.8])


def test_a_gif_of_few_colours_is_exact(tmp_path, rng):
    video = rng.integers(0, 256, (7, 6, 8, 3)).astype(np.uint8)  # 48 colours per frame
    video[3, 1:] = video[2, 1:]  # a part changes
    media.write_video(tmp_path / "a.GIF", video, 5)
    np.testing.assert_array_equal(media.read_video(tmp_path / "a.GIF"), video)


def test_enlarge_repeats_pixels():
    frames = np.arange(4).reshape(1, 2, 2, 1)
    assert media.enlarge(frames, 2)[0, :, :, 0].tolist() == [[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2


def test_to_uint8_rounds_and_clips():
    np.testing.assert_array_equal(media.to_uint8([-1.0, 0.0, 0.5, 1.0, 2.0]), [0, 0, 128, 255, 255])


def moving_square(frames=6, height=32, width=48):
    video = np.full((frames, height, width, 3), 40, np.uint8)
    for t in range(frames):
        video[t, 8:20, 4 + 4 * t : 16 + 4 * t] = (220, 180, 60)
    return video


@pytest.mark.parametrize("ending,error", [("gif", 3), ("mp4", 8), ("webm", 8)])
def test_a_video_file_is_read_as_it_was_written(tmp_path, ending, error):
    video = moving_square()
    media.write_video(tmp_path / f"clip.{ending}", video, 8.0)
    found = media.read_video(tmp_path / f"clip.{ending}")
    assert found.dtype == np.uint8 and found.shape == video.shape
    assert np.abs(found.astype(int) - video.astype(int)).mean() < error


def test_odd_sides_and_grey_are_written_too(tmp_path):
    media.write_video(tmp_path / "clip.mp4", moving_square(height=31, width=45)[..., :1], 7.5)
    assert media.read_video(tmp_path / "clip.mp4").shape == (6, 32, 46, 3)


def test_a_folder_of_images_is_a_video_in_the_order_of_names(tmp_path):
    video = moving_square(3)
    for name, frame in zip(("b.png", "c.png", "a.png"), video):
        Image.fromarray(frame).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a frame")
    np.testing.assert_array_equal(media.read_video(tmp_path), video[[2, 0, 1]])


def test_images_of_16_bits_are_scaled(tmp_path):
    Image.fromarray(np.array([[0, 257, 32768, 65535]], np.uint16)).save(tmp_path / "0.png")
    [[row]] = media.read_video(tmp_path)
    assert row.tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(media.VideoError, match="neither a file nor a folder"):
        media.read_video(tmp_path / "a.mp4")
    with pytest.raises(media.VideoError, match="neither a file nor a folder"):
        media.frame_rate(tmp_path / "a.mp4")
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(media.VideoError, match="no frames"):
        media.read_video(tmp_path)


@pytest.mark.parametrize("rate", [5, 8, 30, 50])
def test_a_gif_lasts_as_long_as_its_frames(rate):
    animation = Image.open(io.BytesIO(media.to_gif(moving_square(10), rate)))
    shown = []
    for number in range(animation.n_frames):
        animation.seek(number)
        shown.append(animation.info["duration"])
    assert sum(shown) == pytest.approx(1000 * 10 / rate, abs=10)
    assert max(shown) - min(shown) <= 10


def test_what_is_no_video_is_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no frames in here")
    (tmp_path / "folder").mkdir()
    for name, reason in [
        ("missing.mp4", "no video"),
        ("~nobody-of-this-name.mp4", "no video"),
        ("empty.mp4", "cannot be read"),
        ("text.mp4", "cannot be read"),
        ("folder", "has no frames"),
    ]:
        with pytest.raises(media.VideoError, match=reason):
            media.read_video(name)
    (tmp_path / "folder" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(media.VideoError, match=r"a.png is not an image"):
        media.read_video(tmp_path / "folder")
    Image.new("RGB", (4, 4)).save(tmp_path / "folder" / "a.png")
    Image.new("RGB", (4, 5)).save(tmp_path / "folder" / "b.png")
    with pytest.raises(media.VideoError, match="different sizes"):
        media.read_video(tmp_path / "folder")


def test_fit_takes_the_centre_square_at_the_models_size():
    video = np.zeros((2, 8, 16, 3), np.uint8)
    video[:, :, 4:12] = 200  # the centre
    assert np.all(media.fit(video, (4, 4, 3)) == 200)
    assert media.fit(video, (16, 16, 1)).shape == (2, 16, 16, 1)
    video[:, ::2] = 0
    assert np.all(media.fit(video, (4, 4, 1)) == 100)  # averaged, not picked


def test_side_by_side_tells_given_frames_from_predicted_ones():
    context, futures = np.zeros((2, 4, 4, 1), np.uint8), np.zeros((3, 5, 4, 4, 1), np.uint8)
    video = media.side_by_side(context, futures, scale=2)
    assert video.shape == (7, 12, 3 * 12 + 2 * 2, 3)
    assert [tuple(frame[0, 0]) for frame in video] == [media.GREEN] * 2 + [media.RED] * 5


def test_a_clip_is_cut_out_of_a_video(tmp_path):
    video = moving_square(9)
    for number, frame in enumerate(video):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    np.testing.assert_array_equal(media.read_clip(tmp_path, 2), video[7:])
    np.testing.assert_array_equal(media.read_clip(tmp_path, 3, stride=2), video[[4, 6, 8]])
    np.testing.assert_array_equal(media.read_clip(tmp_path, 3, 1, 3), video[[1, 4, 7]])
    with pytest.raises(media.VideoError, match="has 9 frames; it needs 10"):
        media.read_clip(tmp_path, 10)
    with pytest.raises(media.VideoError, match="has 9 frames; it needs 3 from frame 7"):
        media.read_clip(tmp_path, 3, 7)


@pytest.mark.parametrize("ending", ["gif", "mp4", "webm"])
def test_damaged_videos_are_reported_or_read(tmp_path, ending, rng):
    path = tmp_path / f"clip.{ending}"
    media.write_video(path, moving_square(), 8.0)
    whole = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(damaged), 8):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(1, len(damaged))])
        try:
            media.read_video(path)
        except media.VideoError as error:
            assert str(path) in str(error)


def test_frames_between_0_and_1_are_written_like_bytes(tmp_path):
    video = moving_square()
    for name, frames in (("a.mp4", video), ("b.mp4", (video / 255).astype(np.float32))):
        media.write_video(tmp_path / name, frames, 8.0)
    one, other = (media.read_video(tmp_path / name) for name in ("a.mp4", "b.mp4"))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "name,side,message",
    [
        ("a.mov", 8, "a.mov must end in .gif, .mp4, .webm"),
        (".mp4", 8, "must end in"),
        ("a.gif", 65_536, "65536 x 1 pixels; a .gif has at most 65535"),
        ("a.mp4", 16_386, "16386 x 1 pixels; a .mp4 has at most 16384"),
    ],
)
def test_what_no_file_can_hold_is_refused(tmp_path, name, side, message):
    with pytest.raises(media.VideoError, match=message):
        media.write_video(tmp_path / name, np.zeros((1, 1, side, 1), np.uint8), 5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_a_video_has_frames_and_a_rate(tmp_path, name):
    with pytest.raises(media.VideoError, match="must have at least one frame"):
        media.write_video(tmp_path / name, np.zeros((0, 8, 8, 1), np.uint8), 5)
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(media.VideoError, match="the rate must be positive"):
            media.write_video(tmp_path / name, np.zeros((1, 8, 8, 1), np.uint8), rate)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("thickness", [0, 1, 2])
def test_borders_surround_the_frames(thickness):
    video = np.full((2, 3, 4, 1), 7, np.uint8)
    found = media.bordered(video, 1, thickness)
    assert found.shape == (2, 3 + 2 * thickness, 4 + 2 * thickness, 3)
    assert np.count_nonzero((found == 7).all(-1)) == 2 * 3 * 4


@pytest.mark.parametrize("options", [(0,), (2, -1), (2, 0, 0)])
def test_impossible_clips_are_refused(tmp_path, options):
    media.write_video(tmp_path / "a.gif", np.zeros((4, 8, 8, 1), np.uint8), 5)
    with pytest.raises(ValueError, match="must be at least"):
        media.read_clip(tmp_path / "a.gif", *options)
