import numpy as np
import pytest
from measure_tools import noise
from PIL import Image

from tfvrnn.config import MeasureConfig, UserError
from tfvrnn.measurement.clips import Clip, Reading, read_clips, starts_of
from tfvrnn.measurement.sides import ArrayVideo


def reading(**changes):
    plain = {"frames": 4, "stride": 1, "height": 8, "width": 8, "fit": "none", "filter": "none"}
    return Reading(**{**plain, "grey": False, **changes})


@pytest.mark.parametrize(
    ("rule", "stride", "starts"),
    [
        ("first", 1, [2]),
        ("centre", 1, [5]),  # frames 5 to 8 of 2 to 12: three before, four after
        ("all", 1, [2, 6]),
        ("all", 2, [2]),
        ("first", 3, [2]),
        ("first", 4, []),
    ],
)
def test_where_clips_begin(rule, stride, starts):
    assert starts_of(13, 2, rule, reading(stride=stride), "") == starts


def test_random_starts_are_drawn_by_name_and_reach_everywhere():
    found = [starts_of(13, 2, "random", reading(), f"0 video {n}")[0] for n in range(200)]
    assert set(found) == set(range(2, 10))
    assert starts_of(13, 2, "random", reading(), "0 video 7") == [found[7]]


def test_clips_are_the_frames_that_are_named():
    pixels = [noise(number, 12, 8, 8) for number in range(2)]
    videos = [ArrayVideo(str(number), array, "") for number, array in enumerate(pixels)]
    clips = [Clip(0, 1), Clip(0, 6), Clip(1, 0), Clip(0, 0), Clip(0, 2)]  # backwards, too
    found = list(read_clips(videos, clips, reading(stride=2, frames=3)))
    expected = [pixels[clip.video][clip.start : clip.start + 5 : 2] for clip in clips]
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(UserError, match="0 has changed since it was looked at: it is shorter"):
        list(read_clips(videos, [Clip(0, 9)], reading()))


FILTERS = {"area": "BOX", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS"}


@pytest.mark.parametrize("name", FILTERS)
def test_pictures_are_cut_or_stretched_and_resized_by_pillow(name):
    frame = noise(3, 1, 16, 24)[0]
    method = Image.Resampling[FILTERS[name]]
    stretched = reading(fit="stretch", filter=name).picture(frame)
    expected = Image.fromarray(frame).resize((8, 8), method)
    np.testing.assert_array_equal(stretched, np.asarray(expected))
    square = Image.fromarray(frame[:, 4:20]).resize((8, 8), method)
    cut = reading(fit="crop", filter=name).picture(frame)
    np.testing.assert_array_equal(cut, np.asarray(square))
    if name == "area":  # the plain mean of whole blocks
        means = frame[:, 4:20].reshape(8, 2, 8, 2, 3).mean((1, 3))
        np.testing.assert_allclose(cut, means, atol=1.01)  # rounded twice


def test_without_a_filter_the_centre_is_cut_out():
    frame = noise(3, 1, 16, 24)[0]
    np.testing.assert_array_equal(reading(fit="crop").picture(frame), frame[4:12, 8:16])


def test_grey_is_repeated_and_colour_turned_to_grey():
    frame = noise(3, 1, 8, 8)[0]
    luma = frame @ [0.299, 0.587, 0.114]
    grey = reading(grey=True).picture(frame)
    np.testing.assert_allclose(grey, np.repeat(luma[..., None], 3, axis=-1), atol=1)
    one = noise(4, 1, 8, 8, channels=1)[0]
    np.testing.assert_array_equal(reading().picture(one), one.repeat(3, axis=-1))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"clips": "all"}, "`frames` must be above 0 unless `clips` is first"),
        ({"clips": "all", "frames": 9, "paired": True}, "`clips` must be first or centre"),
        ({"stride": 0}, "`stride` must be at least 1"),
        ({"subsets": 1}, "`subsets` must be at least 2"),
        ({"videos": 1}, "`videos` must be 0, or at least 2"),
        ({"filter": "box"}, "`filter` must be one of area"),
        ({"fvd_network": ""}, "`fvd_network` must be"),
    ],
)
def test_wrong_choices_are_refused(choices, message):
    with pytest.raises(UserError, match=message):
        MeasureConfig(**choices)
