from fractions import Fraction

import numpy as np
import pytest

from tfvrnn import media


def write_timed(path, seconds, base=90_000, codec="libx264"):
    """Write grey frames shown from given times on; frame t has brightness 20 (t mod 12)."""
    import av

    with av.open(str(path), "w") as write:
        stream = write.add_stream(codec, rate=30)
        stream.width = stream.height = 16
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, base)
        stream.codec_context.time_base = Fraction(1, base)
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "1"}
        for number, time in enumerate(seconds):
            picture = np.full((16, 16, 3), 20 * (number % 12), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * base), Fraction(1, base)
            write.mux(stream.encode(frame))
        write.mux(stream.encode())


def numbers(frames):
    """Return the numbers of frames, modulo 12."""
    return [round(float(frame.mean()) / 20) for frame in frames]


def shown_at(seconds, rate, count):
    """Return the number of the frame shown at each of `count` moments, modulo 12."""
    times = np.arange(count) / rate + 1e-3
    return ((np.searchsorted(seconds, times, side="right") - 1) % 12).tolist()


CHANGING = [k / 15 for k in range(15)] + [1 + k / 45 for k in range(46)]


@pytest.mark.parametrize("base", [90_000, 1000])
def test_a_rate_that_changes_keeps_its_time(tmp_path, base):
    path = tmp_path / "a.mp4"
    write_timed(path, CHANGING, base)
    assert media.frame_rate(path) == pytest.approx(30.3, abs=0.5)
    found = numbers(media.frames_at(path, 30))
    assert len(found) == 61 and found == shown_at(CHANGING, 30, 61)


@pytest.mark.thorough
@pytest.mark.parametrize("true", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(30), 25.3])
@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_rounded_times_lose_and_double_no_frame(tmp_path, true, ending):
    path = tmp_path / f"a.{ending}"
    write_timed(path, [round(k / true, 3) for k in range(400)])
    for rate in (float(true), round(float(true))):
        if abs(rate / true - 1) <= 0.005:
            assert numbers(media.frames_at(path, rate)) == [k % 12 for k in range(400)]
    halved = numbers(media.frames_at(path, float(true) / 2))
    assert halved == [k % 12 for k in range(0, 400, 2)]


def test_a_phones_video_is_taken_at_its_usual_rate(tmp_path, rng):
    """Most frames follow after 1/30 second, some later: 29.6 per second on average."""
    steps = np.where(np.arange(200) % 80 == 40, 2, 1) / 30
    seconds = np.concatenate([[0], np.cumsum(steps)]) + rng.normal(0, 0.0005, 201)
    seconds -= seconds[0]
    path = tmp_path / "a.mp4"
    write_timed(path, seconds)
    assert 29 < media.frame_rate(path) < 29.85
    found = numbers(media.frames_at(path, 30))
    late = np.flatnonzero(steps > 1 / 20)
    expected = np.sort(np.concatenate([np.arange(201), late])) % 12  # shown twice before a gap
    assert found == expected.tolist()
    with pytest.raises(media.VideoError, match="frames per second, fewer than 60"):
        media.frames_at(path, 60)


def test_a_constant_rate_is_not_raised(tmp_path):
    write_timed(tmp_path / "a.mp4", [k / 24 for k in range(30)])
    with pytest.raises(media.VideoError, match="has 24 frames per second, fewer than 25"):
        media.frames_at(tmp_path / "a.mp4", 25)


def test_the_last_frame_is_shown_until_it_ends(tmp_path):
    from PIL import Image

    pictures = [Image.new("L", (8, 8), 20 * k) for k in range(3)]
    shown = [100, 200, 500]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=shown)
    assert numbers(media.frames_at(tmp_path / "a.gif", 10)) == [0, 1, 1, 2, 2, 2, 2, 2]


def test_folders_and_single_frames_have_no_rate(tmp_path):
    media.write_video(tmp_path / "a.gif", np.zeros((1, 8, 8, 1), np.uint8), 5)
    for path in (tmp_path, tmp_path / "a.gif"):
        with pytest.raises(media.VideoError, match="has no frame rate"):
            media.frames_at(path, 5)
