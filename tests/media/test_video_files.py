import os

import numpy as np
import pytest
from PIL import Image

from tfvrnn import media


def greys(count, height=16, width=24):
    """Make frames; frame t has brightness 20 t."""
    values = (20 * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, height, width, 3))


def assert_greys(found, count, **options):
    assert found.shape == greys(count, **options).shape
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), 20 * np.arange(count), atol=3)


def boxes(content):
    """Split an MP4, or a box in it, into its boxes."""
    while content:
        length = int.from_bytes(content[:4])
        yield content[:length]
        content = content[length:]


def cover_first(content):
    """Reorder an MP4: metadata of the whole file (the cover) before that of its streams."""
    moov = next(box for box in boxes(content) if box[4:8] == b"moov")
    inner = sorted(boxes(moov[8:]), key=lambda box: box[4:8] != b"udta")
    return content.replace(moov, moov[:8] + b"".join(inner))


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_cover_picture_is_no_video(ffmpeg, tmp_path, ending):
    import av

    Image.new("RGB", (90, 90), "red").save(tmp_path / "cover.png")
    media.write_video(tmp_path / "plain.mp4", greys(6), 8)
    path = tmp_path / f"covered.{ending}"
    inputs = ["-i", tmp_path / "plain.mp4"]
    if ending == "mkv":
        attach = ["-attach", tmp_path / "cover.png", "-metadata:s:t", "mimetype=image/png"]
        ffmpeg(*inputs, "-c", "copy", *attach, path)
    else:
        inputs += ["-i", tmp_path / "cover.png", "-map", 0, "-map", 1]
        ffmpeg(*inputs, "-c", "copy", "-disposition:v:1", "attached_pic", path)
        path.write_bytes(cover_first(path.read_bytes()))
        with av.open(str(path)) as container:
            assert container.streams.video[0].width == 90  # otherwise the test would be void
    assert_greys(media.read_video(path), 6)
    assert media.frame_rate(path) == pytest.approx(8)


@pytest.mark.parametrize("rate", [7.5, 8, 12, 15, 24, 30])
def test_a_gif_has_the_rate_that_it_was_written_with(tmp_path, rate):
    """FFmpeg states the rate of the shortest frame, 33.3 for 30."""
    media.write_video(tmp_path / "a.gif", greys(60), rate)
    assert media.frame_rate(tmp_path / "a.gif") == pytest.approx(rate, rel=0.005)


def test_sound_with_a_cover_is_no_video(ffmpeg, tmp_path):
    Image.new("RGB", (90, 90), "red").save(tmp_path / "cover.png")
    sound = ["-f", "lavfi", "-i", "sine=duration=0.2", "-i", tmp_path / "cover.png"]
    ffmpeg(
        *sound,
        "-map",
        0,
        "-map",
        1,
        "-c:v",
        "copy",
        "-disposition:v:0",
        "attached_pic",
        tmp_path / "a.m4a",
    )
    with pytest.raises(media.VideoError, match="has no pictures but a cover"):
        media.read_video(tmp_path / "a.m4a")


def test_a_disc_of_pixels_that_are_not_square_is_round(ffmpeg, tmp_path):
    disc = "lum='255*lt(hypot((X-45)*64/45,Y-32),20)':cb=128:cr=128"
    scene = f"color=black:size=90x64:duration=0.2,geq={disc},setsar=64/45"
    ffmpeg("-f", "lavfi", "-i", scene, tmp_path / "a.mp4")
    frame = media.read_video(tmp_path / "a.mp4")[0, :, :, 0]
    assert frame.shape == (64, 128)
    assert [np.ptp(np.flatnonzero((frame > 127).any(axis=k))) + 1 for k in (0, 1)] == pytest.approx(
        [40, 40], abs=1
    )


def test_the_container_says_more_than_the_codec_of_the_shape_of_pixels(ffmpeg, tmp_path):
    media.write_video(tmp_path / "a.mp4", greys(3), 8)
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-aspect", "3:1", tmp_path / "b.mp4")
    assert_greys(media.read_video(tmp_path / "b.mp4"), 3, width=48)


def test_an_impossible_shape_of_pixels_is_ignored(ffmpeg, tmp_path):
    media.write_video(tmp_path / "a.mp4", greys(3), 8)
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-aspect", "1000:1", tmp_path / "b.mp4")
    assert_greys(media.read_video(tmp_path / "b.mp4"), 3)


NAMES = [
    "take:1",
    "a:b/x",
    "-x",
    "100%",
    "%03d",
    "a#b",
    "x?y=1",
    "*",
    "[1]",
    "{1,2}",
    "~x",
    "file:a",
]


@pytest.mark.parametrize("ending", ["mp4", "gif", "webm"])
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_written_and_read(tmp_path, monkeypatch, name, ending):
    monkeypatch.chdir(tmp_path)
    path = f"{name}.{ending}"
    (tmp_path / path).parent.mkdir(exist_ok=True)
    media.write_video(path, greys(4), 8)
    assert (tmp_path / path).is_file()
    assert_greys(media.read_video(path), 4)
    assert media.frame_rate(path) == pytest.approx(8, rel=0.05)
    assert_greys(media.read_video(tmp_path / path), 4)


def test_a_name_that_is_not_text(tmp_path):
    path = tmp_path / os.fsdecode(b"bad\xff.mp4")
    media.write_video(path, greys(4), 8)
    assert_greys(media.read_video(path), 4)


SEE_THROUGH = "color=red:size=16x8:rate=10:duration=0.4,format=rgba,geq=r=255:g=100:b=0:a='16*X'"


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mov", "png"), ("a.mov", "qtrle"), ("a.apng", "apng"), ("a.mkv", "ffv1")]
)
def test_transparent_pixels_lie_on_black(ffmpeg, tmp_path, name, codec):
    ffmpeg("-f", "lavfi", "-i", SEE_THROUGH, "-c:v", codec, tmp_path / name)
    expected = np.round(np.array([255, 100, 0]) * np.arange(0, 256, 16)[:, None] / 255)
    found = media.read_video(tmp_path / name)
    assert found.shape == (4, 8, 16, 3)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1)


def test_transparent_colours_of_a_palette_lie_on_black(tmp_path):
    image = Image.fromarray(np.repeat(np.uint8([[0], [1]]), 4, axis=1), "P")
    image.putpalette([255, 255, 255, 200, 100, 50])
    image.save(tmp_path / "a.png", transparency=0)
    [frame] = media.read_video(tmp_path / "a.png")
    np.testing.assert_array_equal(frame, np.repeat([[[0, 0, 0]], [[200, 100, 50]]], 4, axis=1))


def test_transparent_pixels_of_a_gif_lie_on_black(tmp_path):
    colours = np.zeros((8, 8, 4), np.uint8)
    colours[...] = 255, 255, 255, 0
    colours[:4] = 0, 200, 0, 255
    frames = [Image.fromarray(np.roll(colours, k, axis=0)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], disposal=2)
    found = media.read_video(tmp_path / "a.gif")
    for k in range(3):
        expected = np.roll(colours[..., :3] * (colours[..., 3:] > 0), k, axis=0)
        np.testing.assert_array_equal(found[k], expected)


def test_unused_bytes_of_raw_video_are_not_transparency(ffmpeg, tmp_path):
    scene = "color=red:size=16x8:rate=10:duration=0.3,format=bgra,colorchannelmixer=aa=0"
    ffmpeg("-f", "lavfi", "-i", scene, "-c:v", "rawvideo", "-pix_fmt", "bgra", tmp_path / "a.avi")
    found = media.read_video(tmp_path / "a.avi")
    np.testing.assert_allclose(found, np.broadcast_to([254, 0, 0], found.shape), atol=2)


def test_an_animated_webp_is_read(tmp_path):
    pictures = [Image.fromarray(frame) for frame in greys(5)]
    options = {"save_all": True, "append_images": pictures[1:], "lossless": True}
    pictures[0].save(tmp_path / "a.webp", duration=[100, 100, 200, 100, 100], **options)
    assert_greys(media.read_video(tmp_path / "a.webp"), 5)
    times = [seconds for seconds, _ in media.timed_frames_of(tmp_path / "a.webp")]
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.4, 0.5])
    assert media.frame_rate(tmp_path / "a.webp") == pytest.approx(5 / 0.6)
    found = np.stack(list(media.frames_at(tmp_path / "a.webp", 10)))
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), [0, 20, 40, 40, 60, 80], atol=2)
    content = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(content[: len(content) // 2])
    with pytest.raises(media.VideoError, match=r"a\.webp"):
        media.read_video(tmp_path / "a.webp")


@pytest.mark.parametrize("name", ["a.nut", "a.ogv", "a.mp4", "a.avi"])
def test_the_frame_rate(ffmpeg, tmp_path, name):
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=12.5:duration=1", tmp_path / name)
    assert media.frame_rate(tmp_path / name) == pytest.approx(12.5)


def test_what_an_edit_list_cuts_off_is_not_shown(ffmpeg, tmp_path):
    path = tmp_path / "cut.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=20:duration=2", tmp_path / "a.mp4")
    ffmpeg("-ss", "0.75", "-i", tmp_path / "a.mp4", "-c", "copy", path)
    np.testing.assert_array_equal(media.read_video(path), media.read_video(tmp_path / "a.mp4")[15:])
    assert len(list(media.frames_at(path, 20))) == 25


def test_a_higher_constant_rate_factor_loses_more(tmp_path, rng):
    video = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
    errors = []
    for crf in (0, 20, 45):
        media.write_video(tmp_path / f"{crf}.mp4", video, 8, crf=crf)
        found = media.read_clip(tmp_path / f"{crf}.mp4", 4)
        errors.append(np.abs(found.astype(int) - video).mean())
    assert errors[0] < errors[1] < errors[2]
