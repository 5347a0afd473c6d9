"""Videos that do not fit get one clear line each, and all others are measured."""

import os
import shutil

import numpy as np
import pytest
from measure_tools import noise, write_images, write_side
from PIL import Image

from tfvrnn import media
from tfvrnn.config import UserError
from tfvrnn.measurement import measure_videos, read_measurement, treatment, write_report


@pytest.fixture
def real(tmp_path):
    write_side(tmp_path / "real", [noise(number) for number in range(4)])
    return tmp_path / "real"


@pytest.fixture
def generated(tmp_path):
    write_side(tmp_path / "generated", [noise(100 + number) for number in range(4)])
    return tmp_path / "generated"


@pytest.fixture
def measure(settings, tmp_path):
    def measure(real, generated, **choices):
        return measure_videos(real, generated, settings(**choices), tmp_path / "out")

    return measure


def only_note(found):
    [note] = found.notes
    return note


def test_unequal_counts_are_reported(measure, real, generated):
    shutil.rmtree(generated / "3")
    found = measure(real, generated)
    assert only_note(found).startswith("4 real and 3 generated clips: the bias of a distance")
    assert (found.figures["fvd"]["real"], found.figures["fvd"]["generated"]) == (4, 3)


def test_unlike_lengths_need_a_choice(measure, real, generated):
    write_images(generated / "long", noise(7, frames=12))
    with pytest.raises(
        UserError, match=r"must be of one length: 9 \(real 0, and 7 more\), 12 \(generated long\)"
    ) as refused:
        measure(real, generated)
    assert "--frames=9 takes that many of each" in str(refused.value)
    found = measure(real, generated, frames=9)
    assert found.figures["fvd"]["generated"] == 5
    assert found.notes[0] == (
        "generated: 1 videos are longer (--clips=first, 9 frames at --stride=1): long"
    )
    assert found.treatment["generated"]["cut"] == ["long"]


def test_videos_that_are_too_short_are_left_out(measure, real, generated):
    write_images(real / "short", noise(7, frames=5))
    found = measure(real, generated, frames=9)
    assert only_note(found) == "real: 1 left out: short: 5 frames, at least 9 needed"
    assert found.treatment["real"]["left_out"] == {"short": "5 frames, at least 9 needed"}
    with pytest.raises(UserError, match=r"no video of the real side can be used: .*5 frames, at"):
        measure(real / "short", generated, frames=9)


def test_clips_too_short_for_the_network_leave_the_pairs(measure, real, generated):
    found = measure(real, generated, frames=8, paired=True)
    assert found.figures["fvd"] is None and found.figures["psnr"]["mean"]["mean"] > 0
    assert found.notes[-1] == (
        "FVD and KVD are not measured: I3D needs clips of 9 frames, these have 8"
    )


def test_frames_too_small_for_ssim_leave_psnr(measure, real, generated):
    found = measure(real, generated, size=8, paired=True)
    assert found.figures["ssim"] is None and found.figures["psnr"]["mean"]["mean"] > 0
    assert found.protocol["measured"]["ssim"] is False
    assert found.notes[-1] == (
        "SSIM is not measured: frames of 8x8 are smaller than the window of --ssim=gaussian, 11"
    )


def test_any_name_of_a_video(measure, real, generated):
    for side in (real, generated):
        (side / "0").rename(side / os.fsdecode(b"a [1] <b>\n\xff"))
    found = measure(real, generated, paired=True, size=8, ssim="uniform")
    name = os.fsdecode(b"a [1] <b>\n\xff")
    assert found.names == ["1", "2", "3", name]
    assert read_measurement(found.path).treatment["real"]["resized"]["16x16"][-1] == name
    write_report(found, found.path.with_suffix(".html"))
    assert "a [1] &lt;b&gt;" in found.path.with_suffix(".html").read_text()


def test_unlike_sizes_need_a_choice(measure, real, generated):
    write_images(generated / "wide", noise(7, width=24))
    with pytest.raises(UserError, match=r"one size: 16x16 .*, 16x24 \(generated wide\)") as refused:
        measure(real, generated)
    assert "--size=16 resizes them" in str(refused.value)
    found = measure(real, generated, size=16)
    assert "generated: 1 of 16x24 made 16x16 (--fit=crop, --filter=area): wide" in found.notes
    assert found.treatment["generated"]["resized"] == {"16x24": ["wide"]}
    write_images(real / "small", noise(8, height=8, width=24))
    found = measure(real, generated, size=16, filter="none")
    assert "real: 1 left out: small: 8x24, and nothing is resized (--filter=none)" in found.notes


@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_colour_against_grey_needs_a_choice(measure, real, tmp_path, color):
    write_side(tmp_path / "grey", [noise(n, channels=1) for n in range(4)])
    with pytest.raises(UserError, match="the generated videos are grey, the others in"):
        measure(real, tmp_path / "grey")
    found = measure(real, tmp_path / "grey", color=color)
    assert found.protocol["reading"]["grey"] == (color == "grey")
    if color == "grey":
        assert only_note(found) == "real: 4 turned to grey: 0, 1, 2, and 1 more"
        assert (np.ptp(found.shown, axis=-1) == 0).all()
    both = measure(tmp_path / "grey", tmp_path / "grey")
    assert both.protocol["sides"]["real"]["grey"]


def test_mixed_frame_rates_are_reported(measure, tmp_path):
    for side, rates in (("a", (10, 10)), ("b", (10, 25))):
        (tmp_path / side).mkdir()
        for number, rate in enumerate(rates):
            path = tmp_path / side / f"{number}.gif"
            media.write_video(path, noise(number + ord(side)), rate)
    found = measure(tmp_path / "a", tmp_path / "b")
    assert (
        "frame rates differ: 10 (2 real and 1 generated), 25 (1 generated) frames/s"
        in (found.notes[0])
    )
    assert found.treatment["generated"]["frame_rates"] == {"10": ["0.gif"], "25": ["1.gif"]}


def test_an_empty_folder_and_strays(measure, real, generated, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"--generated: no videos in .*empty"):
        measure(real, tmp_path / "empty")
    with pytest.raises(UserError, match=r"--real: no folder or file .*nowhere"):
        measure(tmp_path / "nowhere", generated)
    (tmp_path / "empty" / "clip.xyz").write_text("?")
    with pytest.raises(UserError, match=r"no videos in .*\(clip.xyz: not of the known kinds"):
        measure(real, tmp_path / "empty")
    (real / "clip.xyz").write_text("?")
    (real / ".hidden.mp4").write_text("?")
    found = measure(real, generated)
    assert only_note(found).startswith("real: 1 left out: clip.xyz: not of the known kinds:")
    assert only_note(found).endswith("...") and len(only_note(found)) < 130
    assert found.treatment["real"]["left_out"]["clip.xyz"].endswith(".webp)")


def test_a_corrupt_video_in_the_middle_is_left_out(measure, real, generated):
    (real / "1" / "4.png").write_bytes(b"no picture")
    (generated / "cut.mp4").write_bytes(b"no video")
    (generated / "circle.mp4").symlink_to("circle.mp4")
    found = measure(real, generated)
    left_out = {side: done["left_out"] for side, done in found.treatment.items()}
    assert left_out["real"] == {"1": "4.png is not an image"}
    assert left_out["generated"].keys() == {"cut.mp4", "circle.mp4"}
    assert found.figures["fvd"]["real"] == 3 and found.figures["fvd"]["generated"] == 4
    # Frames that are not needed are not read.
    (real / "1" / "3.png").unlink()
    assert measure(real, generated, frames=2, paired=True).protocol["pairs"] == {
        "videos": 4,
        "samples": 1,
    }


def test_names_that_do_not_pair_are_listed(measure, real, generated):
    (generated / "0").rename(generated / "other")
    found = measure(real, generated, paired=True)
    assert found.names == ["1", "2", "3"]
    assert found.treatment["real"]["left_out"] == {"0": "no generated video of its name"}
    assert found.treatment["generated"]["left_out"] == {"other": "no real video of its name"}
    assert found.figures["fvd"]["real"] == 3
    for number in "123":
        (generated / number).rename(generated / f"x{number}")
    with pytest.raises(
        UserError,
        match=r"no generated video has a real one's name: real 0, 1, 2, and 1 more; generated oth",
    ):
        measure(real, generated, paired=True)


@pytest.mark.thorough
def test_centres_that_lie_elsewhere_do_not_pair(measure, real, generated):
    write_images(real / "4", noise(1, frames=13))
    write_images(generated / "4", noise(1, frames=11))
    found = measure(real, generated, paired=True, frames=9, clips="centre")
    assert found.names == ["0", "1", "2", "3"]
    reason = "its central clip begins at frame 1 after the skipped ones, the real one's at frame 2"
    assert found.treatment["generated"]["left_out"] == {"4": reason}


@pytest.mark.thorough
def test_the_same_folder_twice_is_reported(measure, real, tmp_path):
    found = measure(real, real)
    assert found.notes == [
        "--real and --generated are the same: the distances compare a set with itself"
    ]
    assert abs(found.figures["fvd"]["value"]) < 1e-3
    shutil.copytree(real, tmp_path / "copy")
    assert only_note(measure(real, tmp_path / "copy")).startswith("both sides hold the same")


GOOD = np.zeros((3, 9, 16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (GOOD / 255, r"must be uint8, in 0 to 255. Received: float64; for floats in \[0, 1\]: np"),
        (GOOD.astype(np.int64), "must be uint8, in 0 to 255. Received: int64$"),
        (GOOD[0], r"must be \[N, T, H, W, C\], C 1 or 3. Received: \(9, 16, 16, 3\)"),
        (GOOD[..., :2], r"Received: \(3, 9, 16, 16, 2\)"),
        (GOOD[:0], r"Received: \(0, 9, 16, 16, 3\)"),
        (GOOD[:, None], r"must be \[N, T, H, W, C\], C 1 or 3. Received: \(3, 1, 9"),
    ],
)
def test_arrays_that_are_no_videos(measure, tmp_path, array, message):
    np.save(tmp_path / "array.npy", array)
    for source in (array, tmp_path / "array.npy"):
        with pytest.raises(UserError, match=message):
            measure(GOOD, source)


def test_files_that_hold_no_array(measure, tmp_path):
    np.savez(tmp_path / "two.npz", a=GOOD, b=GOOD)
    with pytest.raises(UserError, match=r"one array, or --real_key or .* Received: a, b"):
        measure(tmp_path / "two.npz", GOOD)
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:3000])
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    for name in ("objects.npy", "torn.npz", "torn.npy"):
        with pytest.raises(UserError, match=f"{name} holds no array that can be read"):
            measure(tmp_path / name, GOOD)


def test_a_video_that_changes_meanwhile_is_named(measure, real, generated, monkeypatch):
    looked = treatment.notes_of_both

    def gone(*arguments):
        shutil.rmtree(real / "2")
        return looked(*arguments)

    monkeypatch.setattr(treatment, "notes_of_both", gone)
    with pytest.raises(UserError, match="2 has changed since it was looked at: no video"):
        measure(real, generated)


def test_files_of_equal_names_sizes_and_times_are_told_apart(measure, tmp_path):
    for number, side in enumerate(("a", "b")):
        for video in range(2):
            write_images(tmp_path / side / str(video), noise(10 * number + video))
            for path in (tmp_path / side / str(video)).iterdir():
                Image.open(path).save(path.with_suffix(".ppm"))
                path.unlink()
                os.utime(path.with_suffix(".ppm"), (1, 1))
    found = measure(tmp_path / "a", tmp_path / "b", paired=True)
    assert found.figures["fvd"]["value"] > 0.0 and found.figures["psnr"]["mean"]["mean"] < 30.0


def test_damaged_arrays_are_one_line(measure, real, tmp_path):
    videos = np.stack([noise(number) for number in range(2)])
    np.savez_compressed(tmp_path / "a.npz", videos)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "renamed.npy").write_bytes(whole)
    (tmp_path / "damaged.npz").write_bytes(whole[:300] + bytes(40) + whole[340:])
    np.save(tmp_path / "a.npy", videos)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "header.npy").write_bytes(whole.replace(b"), }", b",, }", 1))
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    for name in ("renamed.npy", "damaged.npz", "header.npy", "cut.npy"):
        with pytest.raises(UserError, match=rf"{name} holds no array that can be read: "):
            measure(real, tmp_path / name)
