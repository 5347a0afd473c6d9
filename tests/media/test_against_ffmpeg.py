"""Video files of many kinds are read as FFmpeg's own program shows them."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfvrnn import media
from tfvrnn.media.reading import frame_times

SCENE = "testsrc2=size=48x32:rate=30:duration=1,gblur=2,hue=s=0.4"  # scalers differ at edges
ORIENTATIONS = list(itertools.product((0, 90, 180, 270), (False, True)))
ENCODERS = {
    "mp4": ["-c:v", "libx264"],
    "mov": ["-c:v", "mpeg4", "-q:v", "2"],
    "mkv": ["-c:v", "libx264", "-bf", "2"],
    "avi": ["-c:v", "mpeg4", "-q:v", "2"],
    "webm": ["-c:v", "libvpx", "-b:v", "1M"],
    "ts": ["-c:v", "mpeg2video", "-q:v", "2"],
}
# Containers that can store an orientation, and the other streams that they take.
RICH = {"mp4": ("cover", "sound", "small"), "mov": ("sound", "small"), "mkv": ("sound", "small")}


@pytest.fixture(scope="module")
def encode(ffmpeg, tmp_path_factory):
    """Return a function that makes a video: (container, pixel aspect ratio, steady rate)."""
    folder = tmp_path_factory.mktemp("encoded")

    @functools.cache
    def run(container, ratio, steady):
        path = folder / f"{container}_{ratio.replace('/', '_')}_{steady}.{container}"
        drop = "" if steady else ",select='lt(n,12)+not(mod(n,3))'"
        options = ["-vf", f"setsar={ratio}{drop}", "-fps_mode", "vfr", "-pix_fmt", "yuv420p"]
        ffmpeg("-f", "lavfi", "-i", SCENE, *options, *ENCODERS[container], path)
        return path

    return run


@pytest.fixture(scope="module")
def extras(ffmpeg, tmp_path_factory):
    """Make {name: file} of streams that may lie in a container beside its video."""
    folder = tmp_path_factory.mktemp("extras")
    ffmpeg("-f", "lavfi", "-i", "color=red:size=400x400", "-frames:v", 1, folder / "cover.png")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", folder / "sound.m4a")
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=16x16:duration=1", folder / "small.mp4")
    return {path.stem: path for path in folder.iterdir()}


def shown(ffmpeg, path, turned=False, filters=""):
    """Decode the frames of a video as FFmpeg shows them, with square pixels."""
    square = "scale=iw:ih/sar" if turned else "scale=iw*sar:ih"
    # PAM states its size. Frames follow each other.
    printed = ffmpeg(
        *("-i", path, "-vf", f"{square},setsar=1{filters}", "-fps_mode", "passthrough"),
        *("-f", "image2pipe", "-c:v", "pam", "-pix_fmt", "rgb24", "-"),
    )
    head = printed[: printed.index(b"ENDHDR\n") + 7]
    words = head.split()
    width, height = (int(words[words.index(word) + 1]) for word in (b"WIDTH", b"HEIGHT"))
    frames = np.frombuffer(printed, np.uint8).reshape(-1, len(head) + width * height * 3)
    return frames[:, len(head) :].reshape(-1, height, width, 3)


def assert_same_pictures(found, expected):
    """Check number, size and pixels; the scalers place colours half a pixel apart."""
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.mean(axis=(1, 2, 3)).max() < 2


@pytest.mark.parametrize(("degrees", "mirrored"), ORIENTATIONS)
def test_each_orientation(ffmpeg, encode, tmp_path, degrees, mirrored):
    path, plain = tmp_path / "turned.mp4", encode("mp4", "1/1", True)
    turn = ["-display_rotation", degrees] + ["-display_hflip"] * mirrored
    ffmpeg(*turn, "-i", plain, "-c", "copy", path)
    found = media.read_video(path)
    assert_same_pictures(found, shown(ffmpeg, path))
    # FFmpeg turns counterclockwise and then mirrors.
    upright = np.rot90(media.read_video(plain), degrees // 90, axes=(1, 2))
    np.testing.assert_array_equal(found, upright[:, :, ::-1] if mirrored else upright)


@settings(max_examples=25)
@given(
    container=st.sampled_from(sorted(ENCODERS)),
    ratio=st.sampled_from(["1/1", "4/3", "3/4", "0/1"]),
    steady=st.booleans(),
    orientation=st.sampled_from(ORIENTATIONS),
    before=st.lists(st.sampled_from(["cover", "sound", "small"]), unique=True),
)
def test_combinations(
    ffmpeg, encode, extras, tmp_path_factory, container, ratio, steady, orientation, before
):
    path = tmp_path_factory.mktemp("videos") / f"video.{container}"
    degrees, mirrored = orientation if container in RICH else (0, False)
    turn = ["-display_rotation", degrees] + ["-display_hflip"] * mirrored
    streams = [name for name in before if name in RICH.get(container, ())]
    pictures = [name for name in streams if name != "sound"]
    inputs = [("-i", extras[name]) for name in streams]
    inputs.append((*turn * (container in RICH), "-i", encode(container, ratio, steady)))
    maps = [("-map", number) for number in range(len(inputs))]
    cover = (
        [f"-disposition:v:{pictures.index('cover')}", "attached_pic"] if "cover" in streams else []
    )
    data = ["-timecode", "00:00:00:00"] if container == "mov" else []
    ffmpeg(*itertools.chain(*inputs, *maps), "-c", "copy", *cover, *data, path)
    expected = shown(ffmpeg, path, turned=degrees % 180 == 90)
    if "small" not in streams:
        assert len(expected) == (30 if steady else 18)
    assert_same_pictures(media.read_video(path), expected)


@pytest.mark.parametrize("container", ["mp4", "avi"])  # AVI gives no durations
@pytest.mark.parametrize("rate", [10, 15, 20, 30])
def test_a_changing_rate_is_resampled_as_ffmpeg_does(ffmpeg, encode, container, rate):
    path = encode(container, "1/1", False)
    found = np.stack(list(media.frames_at(path, rate)))
    assert_same_pictures(found, shown(ffmpeg, path, filters=f",fps={rate}:round=up"))


def test_repeated_frames_of_ogg_are_skipped_as_ffmpeg_does(ffmpeg, tmp_path):
    path = tmp_path / "a.ogv"
    scene = "testsrc=size=64x48:rate=5:duration=2,gblur=2"
    ffmpeg("-f", "lavfi", "-i", scene, "-vf", "fps=20", "-c:v", "libtheora", "-q:v", 9, path)
    expected = shown(ffmpeg, path)
    assert 10 <= len(expected) < 40  # otherwise the test would be void
    assert_same_pictures(media.read_video(path), expected)
    assert len(frame_times(path)) == len(expected)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", ["-c:v", "libx264", "-x264-params", "interlaced=1"]),
        ("ts", ["-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", 2]),
    ],
)
def test_colours_of_interlaced_frames_are_ffmpegs(ffmpeg, tmp_path, container, codec):
    path = tmp_path / f"a.{container}"
    scene = "testsrc2=size=64x48:rate=10:duration=1"
    ffmpeg("-f", "lavfi", "-i", scene, "-pix_fmt", "yuv420p", *codec, path)
    difference = media.read_video(path).astype(int) - shown(ffmpeg, path)
    assert np.abs(difference).max() <= 1
