import itertools

import numpy as np
import pytest

from tfvrnn import media

WAYS = {  # container: codec, options
    "a.mp4": ["-c:v", "libx264"],
    "fast.mp4": ["-c:v", "libx264", "-movflags", "+faststart"],
    "fragments.mp4": ["-c:v", "libx264", "-g", "5", "-movflags", "+frag_keyframe+empty_moov"],
    "a.mov": ["-c:v", "mpeg4"],
    "a.mkv": ["-c:v", "libx264"],
    "live.mkv": ["-c:v", "libx264", "-live", "1"],
    "a.webm": ["-c:v", "libvpx"],
    "a.avi": ["-c:v", "mpeg4"],
    "a.gif": [],
}


@pytest.fixture(scope="module", params=WAYS)
def video(request, ffmpeg, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / request.param
    scene = "testsrc2=size=64x48:rate=10:duration=2,noise=alls=60:allf=t"  # frames of similar sizes
    ffmpeg("-f", "lavfi", "-i", scene, *WAYS[request.param], "-pix_fmt", "yuv420p", path)
    return path


def test_a_whole_file_is_whole(video):
    assert not media.ends_prematurely(video)
    assert len(media.read_video(video)) == 20


@pytest.mark.parametrize("part", [0.55, 0.8])
def test_half_a_file_is_reported_after_its_frames(video, tmp_path, part):
    content, path = video.read_bytes(), tmp_path / video.name
    path.write_bytes(content[: int(part * len(content))])
    assert media.ends_prematurely(path)
    seen = 0
    with pytest.raises(
        media.VideoError, match=r"ended prematurely: (\d+) frames are there"
    ) as told:
        for _ in media.frames_of(path):
            seen += 1
    assert f": {seen} frames" in str(told.value) and seen < 20
    if path.name not in ("a.mp4", "a.mov"):  # their index comes last
        first = np.stack(list(itertools.islice(media.frames_of(path), 3)))
        np.testing.assert_array_equal(first, media.read_video(video)[:3])
        with pytest.raises(media.VideoError, match="ended prematurely"):
            media.read_clip(path, 3)  # the last frames are missing
        np.testing.assert_array_equal(media.read_clip(path, 3, start=0), first)


@pytest.mark.parametrize("container", ["matroska", "avi", "webm", "mpegts"])
def test_files_that_do_not_state_their_length(ffmpeg, tmp_path, container):
    codec = "libvpx" if container == "webm" else "mpeg4"
    scene = "testsrc2=size=64x48:rate=10:duration=2"
    # Written into a pipe, where nothing can be filled in later.
    written = ffmpeg("-f", "lavfi", "-i", scene, "-c:v", codec, "-f", container, "pipe:1")
    (tmp_path / "a.video").write_bytes(written)
    assert not media.ends_prematurely(tmp_path / "a.video")
    assert len(media.read_video(tmp_path / "a.video")) == 20


def test_an_avi_that_lacks_its_index_only_is_whole(ffmpeg, tmp_path):
    path = tmp_path / "a.avi"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=2", "-c:v", "mpeg4", path)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"idx1")])
    assert len(media.read_video(path)) == 20


@pytest.mark.parametrize(
    ("name", "more"), [("a.mp4", b"\0\0\xff\xffuuid" + bytes(20)), ("a.mkv", b"junk" * 9)]
)
def test_what_follows_the_video_is_no_fault(ffmpeg, tmp_path, name, more):
    path = tmp_path / name
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=2", path)
    with path.open("ab") as file:
        file.write(more)
    assert len(media.read_video(path)) == 20


@pytest.mark.parametrize(
    "content",
    [  # sizes of 64 bits, and chunks of odd sizes
        b"\0\0\0\x0cftypisom" + b"\0\0\0\1mdat" + (116).to_bytes(8) + bytes(100),
        b"RIFF\x7c\0\0\0AVI JUNK\3\0\0\0abc\0" + b"LIST\x64\0\0\0movi" + bytes(96),
    ],
)
def test_sizes_of_other_forms(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert not media.ends_prematurely(path)
    path.write_bytes(content[:-1])
    assert media.ends_prematurely(path)
