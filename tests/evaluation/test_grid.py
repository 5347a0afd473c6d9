import numpy as np
import pytest

from tfvrnn import media
from tfvrnn.config import UserError
from tfvrnn.evaluation import grid

CONTEXT, TIMES = 2, (1, 2, 3, 5)
NAMES = ["copy_last", "VRNN, no hierarchy", "runs/" + "a_very_long_name_" * 9 + "/end"]


def colour(video, row, time):
    """Choose a different colour for every cell, never grey as the text is."""
    return (40 * row + 30, 10 * time + 5, 50 * video + 7)


def videos_of_colours(row):
    """Make two videos of six 8x8 frames."""
    colours = [[colour(video, row, time) for time in range(1, 7)] for video in range(2)]
    frames = np.array(colours, np.uint8)[:, :, None, None]
    return np.broadcast_to(frames, (2, 6, 8, 8, 3))


def box(picture, of):
    """Find (left, top, right, bottom) of a colour's pixels, which must fill it; None: no pixels."""
    there = (picture == np.array(of, np.uint8)).all(axis=-1)
    if not there.any():
        return None
    (ys,), (xs,) = np.nonzero(there.any(axis=1)), np.nonzero(there.any(axis=0))
    assert there[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].all()
    return xs[0], ys[0], xs[-1] + 1, ys[-1] + 1


@pytest.mark.parametrize("count", [1, 3])
def test_every_frame_is_in_its_cell(count):
    systems = [(NAMES[k], videos_of_colours(k + 1)) for k in range(count)]
    picture = np.asarray(grid.draw_grid(videos_of_colours(0), systems, CONTEXT, TIMES))
    boxes = {
        (video, row, time): box(picture, colour(video, row, time))
        for video in range(2)
        for row in range(count + 1)
        for time in range(1, 7)
    }
    shown = {place for place, found in boxes.items() if found}
    # The systems' rows begin with their predictions.
    assert shown == {(v, r, t) for v, r, t in boxes if t in TIMES and (r == 0 or t > CONTEXT)}
    boxes = {place: boxes[place] for place in sorted(shown)}
    sides = {(right - left, bottom - top) for left, top, right, bottom in boxes.values()}
    assert sides == {(96, 96)}
    lefts, tops = {}, {}
    for (video, row, time), (left, top, *_) in boxes.items():
        assert lefts.setdefault(time, left) == left
        assert tops.setdefault((video, row), top) == top
    lefts = [lefts[time] for time in TIMES]
    assert list(tops.values()) == sorted(tops.values()) and lefts == sorted(lefts)
    # Wider gaps separate the context from the predictions, and one video from the next.
    first, second, third = np.diff(lefts)
    assert 96 < first == third < second
    rows = np.diff(list(tops.values()))
    assert all(rows[count] > row for row in np.delete(rows, count))
    # The green line is above the context, the red one above the rest.
    green, red = box(picture, media.GREEN), box(picture, media.RED)
    assert (green[0], green[2]) == (lefts[0], lefts[1] + 96)
    assert (red[0], red[2]) == (lefts[2], lefts[3] + 96)
    assert green[3] < min(tops.values())


@pytest.mark.parametrize(("size", "factor"), [(8, 12), (64, 2), (128, 1)])
def test_grey_frames_are_enlarged_and_otherwise_as_they_are(rng, size, factor):
    truth, future = rng.integers(0, 256, (2, 1, 3, size, size, 1), np.uint8)
    picture = np.asarray(grid.draw_grid(truth, [("run", future)], 2, (3,)))
    side = factor * size
    cells = picture[-grid.MARGIN - 2 * side - grid.GAP : -grid.MARGIN, -grid.MARGIN - side :]
    cells = cells[:, :side]
    for cell, frame in ((cells[:side], truth[0, 2]), (cells[-side:], future[0, 2])):
        expected = np.broadcast_to(media.enlarge(frame, factor), (side, side, 3))
        np.testing.assert_array_equal(cell, expected)


def test_without_context_the_first_predicted_column_takes_its_place():
    systems = [("run", videos_of_colours(1))]
    lefts = [
        box(np.asarray(grid.draw_grid(videos_of_colours(0), systems, CONTEXT, times)), of)[0]
        for times, of in (((1, 3), colour(0, 0, 1)), ((3, 5), colour(0, 0, 3)))
    ]
    assert lefts[0] == lefts[1]


def test_names_are_written_beside_their_rows():
    def labels(*names):
        systems = [(name, videos_of_colours(k + 1)) for k, name in enumerate(names)]
        picture = np.asarray(grid.draw_grid(videos_of_colours(0), systems, CONTEXT, TIMES))
        left, *_ = box(picture, colour(0, 0, 1))
        tops = [box(picture, colour(0, row, 3))[1] for row in range(len(names) + 1)]
        return [picture[top : top + 96, :left] for top in tops]

    truth, ab, cd = labels("ab", "cd")
    np.testing.assert_array_equal(ab, labels("ab")[1])
    np.testing.assert_array_equal(cd, labels("cd")[1])
    assert (ab != cd).any() and (truth != ab).any() and (ab != 255).any()


def test_a_long_name_keeps_its_end_in_three_lines():
    assert grid._label(NAMES[2]) == "…name_a_very_long_\nname_a_very_long_\nname_/end"
    assert grid._label("VRNN, no hierarchy") == "VRNN, no hierarchy"
    assert grid._label("vrnn_smmnist_no_hierarchy") == "vrnn_smmnist_no_\nhierarchy"
    assert grid._label("runs/" + "x" * 35) == f"runs/\n{'x' * 20}\n{'x' * 15}"


@pytest.mark.parametrize(
    ("context", "horizon", "times"),
    [
        (2, 18, (1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 20)),  # the paper's
        (1, 1, (1, 2)),
        (3, 7, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
        (2, 9, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)),
        (2, 10, (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12)),
        (2, 28, (1, 2, 3, 5, 8, 11, 14, 17, 22, 27, 30)),
        (10, 20, (8, 9, 10, 11, 12, 14, 17, 19, 21, 24, 28, 30)),
    ],
)
def test_the_times_that_are_chosen(context, horizon, times):
    assert grid.choose_times(context, horizon) == times


def test_times_that_the_user_wants():
    assert grid.choose_times(2, 18, [20, 3, 3, 1]) == (1, 3, 20)
    for wanted in ([], [0, 3], [1, 2], [3, 21]):
        with pytest.raises(UserError, match="`grid_times` must lie in 1 to 20, one of them after"):
            grid.choose_times(2, 18, wanted)
