"""Test which files of a folder become videos, and the reasons for those left out."""

import re

import numpy as np
import pytest
from PIL import Image

from tfvrnn import media
from tfvrnn.data import video_folder


def frames(number, count=6):
    """Make video v, whose frame t has brightness 30 v + 4 t."""
    values = (30 * number + 4 * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, 24, 32, 3))


def write_images(folder, video):
    folder.mkdir(parents=True)
    for t, frame in enumerate(video):
        Image.fromarray(frame).save(folder / f"{t:03}.png")


@pytest.fixture
def root(tmp_path):
    """Make a folder with two videos."""
    root = tmp_path / "videos"
    write_images(root / "first", frames(0))
    write_images(root / "second", frames(1))
    return root


def prepare(root, **options):
    options = {"clip_frames": 5, "size": 16} | options
    prepared = video_folder.prepare(root, root.parent / "data", **options)
    return sum(prepared.videos.values()), dict(prepared.skipped)


def names(root):
    return [str(path.relative_to(root)) for path in video_folder.find_videos(root)]


def test_hidden_files_and_those_of_systems_are_passed_over(root):
    for folder in (".thumbnails", "__MACOSX", "@eaDir", "first/.thumbnails"):
        write_images(root / folder, frames(2))
    for name in ("first/._000.png", ".a.mp4", "._b.mov", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (root / name).write_bytes(b"no picture")
    assert names(root) == ["first", "second"]
    assert prepare(root) == (2, {})


def test_pictures_beside_videos_are_listed_and_not_taken(root):
    (root / "clips").mkdir()
    for number in range(3):
        media.write_video(root / "clips" / f"{number}.mp4", frames(2 + number), 8)
        Image.fromarray(frames(0)[0]).save(root / "clips" / f"{number}.jpg")
    Image.fromarray(frames(0)[0]).save(root / "clips" / "poster.png")
    count, reasons = prepare(root)
    assert count == 2 + 3 and set(reasons) == {"clips/*.jpg", "clips/poster.png"}
    assert reasons["clips/*.jpg"].startswith("3 files beside videos: the frames of a video need")
    assert reasons["clips/poster.png"].startswith("beside videos: the frames of a video need")


def test_unknown_files_are_listed_with_the_kinds_that_are_known(root):
    (root / "a.xyz").write_bytes(b"x")
    for number in range(4):
        (root / "first" / f"{number}.exr").write_bytes(b"x")
    for companion in ("notes.txt", "labels.JSON", "a.srt", "README.md", "sound.wav"):
        (root / companion).write_text("x")
    count, reasons = prepare(root)
    assert count == 2 and set(reasons) == {"a.xyz", "first/*.exr"}
    assert reasons["first/*.exr"].startswith("4 files not of the known kinds: videos (")
    for kind in (*media.VIDEOS, *media.IMAGES):
        assert re.search(rf"\{kind}[ )]", reasons["a.xyz"])


CONTAINERS = {
    ".mts": ("mpeg2video", "mpegts"),
    ".M2TS": ("libx264", "mpegts"),
    ".ts": ("libx264", "mpegts"),
    ".3gp": ("mpeg4", "3gp"),
    ".wmv": ("wmv2", "asf"),
    ".asf": ("wmv2", "asf"),
    ".flv": ("flv1", "flv"),
    ".ogv": ("libtheora", "ogg"),
    ".ogg": ("libtheora", "ogg"),
    ".264": ("libx264", "h264"),
    ".265": ("libx265", "hevc"),
    ".h265": ("libx265", "hevc"),
    ".h261": ("h261", "h261"),
    ".mk3d": ("libx264", "matroska"),
    ".mj2": ("jpeg2000", "mov"),
    ".obu": ("libaom-av1", "obu"),
    ".MPG": ("mpeg1video", "mpeg"),
    ".vob": ("mpeg2video", "vob"),
    ".mxf": ("mpeg2video", "mxf"),
    ".m4v": ("mpeg4", "mp4"),
    ".mkv": ("ffv1", "matroska"),
    ".MOV": ("mjpeg", "mov"),
    ".apng": ("apng", "apng"),
    ".y4m": ("wrapped_avframe", "yuv4mpegpipe"),
    ".m2v": ("mpeg2video", "mpeg2video"),
    ".nut": ("mpeg4", "nut"),
    ".webp": ("libwebp", "webp"),
}


def test_many_containers_are_taken(ffmpeg, tmp_path):
    scene = "testsrc=size=176x144:rate=25:duration=0.4"
    for ending, (codec, container) in CONTAINERS.items():
        options = ["-f", "lavfi", "-i", scene, "-c:v", codec, "-f", container]
        ffmpeg(
            *options, "-pix_fmt", "yuv420p" if codec != "apng" else "rgb24", tmp_path / f"a{ending}"
        )
    found = video_folder.find_videos(tmp_path)
    assert {path.suffix for path in found} == set(CONTAINERS)
    for path in found:
        assert len(media.read_video(path)) == 10, path


def test_sound_in_ogg_is_listed_with_the_reason(ffmpeg, root):
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "libvorbis", root / "sound.ogg")
    assert prepare(root) == (2, {"sound.ogg": "has no pictures"})


def test_webp_is_an_image_or_a_video(root):
    for number in range(6):
        Image.fromarray(frames(2)[number]).save(root / "second" / f"{number:03}.webp")
        (root / "second" / f"{number:03}.png").unlink()
    pictures = [Image.fromarray(frame) for frame in frames(3)]
    options = {"save_all": True, "append_images": pictures[1:], "lossless": True}
    pictures[0].save(root / "moving.webp", **options)
    assert names(root) == ["first", "moving.webp", "second"]
    assert prepare(root) == (3, {})


@pytest.mark.parametrize("ending", ["mkv", "webm", "avi", "mp4"])
def test_half_a_file_is_left_out_with_what_was_there(ffmpeg, root, ending):
    whole, path = root.parent / f"whole.{ending}", root / f"half.{ending}"
    scene = "testsrc2=size=64x48:rate=10:duration=3,noise=alls=60:allf=t"
    ffmpeg("-f", "lavfi", "-i", scene, "-movflags", "+faststart", "-pix_fmt", "yuv420p", whole)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    count, reasons = prepare(root)
    assert count == 2 and list(reasons) == [path.name]
    assert re.fullmatch(r"ended prematurely: 1\d frames are there", reasons[path.name])


def test_the_reason_names_the_image_within_its_folder(root):
    (root / "first" / "004.png").write_bytes(b"no picture")
    write_images(root / "third", frames(2))
    count, reasons = prepare(root)
    assert count == 2 and reasons == {"first": "004.png is not an image"}


def test_a_rate_that_varies_becomes_a_constant_one(ffmpeg, root):
    """15 frames in the first second and 30 in the next become 60, at 30 per second."""
    thinned = ["-vf", "select='gte(n,30)+not(mod(n,2))'", "-fps_mode", "vfr"]
    for number, scene in enumerate(("testsrc", "testsrc2")):
        source = ["-f", "lavfi", "-i", f"{scene}=size=64x48:rate=30:duration=2"]
        ffmpeg(*source, *thinned, "-pix_fmt", "yuv420p", root / f"{number}.mp4")
        assert len(media.read_video(root / f"{number}.mp4")) == 45
    count, reasons = prepare(root, frame_rate=30.0, clip_frames=30)
    assert count == 2 * 2
    assert reasons == {"first": "has no frame rate", "second": "has no frame rate"}
