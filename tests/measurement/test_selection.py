"""Test which videos and clips are taken, by names and numbers."""

import numpy as np
import pytest
from measure_tools import noise

from tfvrnn.config import MeasureConfig, UserError
from tfvrnn.measurement.parts import Parts
from tfvrnn.measurement.selection import select
from tfvrnn.measurement.sides import open_side
from tfvrnn.measurement.survey import survey


@pytest.fixture
def choose(tmp_path):
    def choose(real, generated, **choices):
        settings, parts = MeasureConfig(**choices), Parts(tmp_path)
        sides = [
            open_side(label, array, "", settings.paired and label == "generated", tmp_path)
            for label, array in (("real", real), ("generated", generated))
        ]
        return select(sides, [survey(side, settings, parts) for side in sides], settings)

    return choose


def clips(selection):
    return [[(clip.video, clip.start) for clip in one.clips] for one in selection.sides]


REAL = np.stack([noise(number, frames=30) for number in range(40)])
OTHER = np.stack([noise(100 + number, frames=28) for number in range(40)])


def test_predicted_frames_of_whole_videos_against_only_those_frames(choose):
    """30 frames, two of them given, are compared with the 28 predicted frames."""
    found = choose(REAL, OTHER, start=2, generated_start=0)
    assert found.reading.frames == 28
    assert clips(found) == [[(n, 2) for n in range(40)], [(n, 0) for n in range(40)]]
    with pytest.raises(UserError, match=r"must be of one length: 30 .*, 28 "):
        choose(REAL, OTHER)
    with pytest.raises(UserError, match="--start skips all frames"):
        choose(REAL, REAL, start=30)


def test_every_clip_without_overlap(choose):
    found = choose(REAL[:2], OTHER[:1], frames=9, clips="all", start=1)
    starts = [1, 10, 19]
    assert clips(found) == [[(n, s) for n in range(2) for s in starts], [(0, s) for s in starts]]
    assert clips(choose(REAL[:1], OTHER[:1], frames=9, clips="all", stride=2)) == [[(0, 0)]] * 2


def test_videos_are_drawn_by_seed_and_name(choose):
    found = choose(REAL, OTHER, videos=8, frames=9)
    taken = [[clip.video for clip in one.clips] for one in found.sides]
    assert taken[0] == taken[1] == sorted(set(taken[0])) and len(taken[0]) == 8  # equal names
    assert len(found.sides[0].not_drawn) == 32
    assert clips(choose(REAL, OTHER, videos=8, frames=9)) == clips(found)
    assert clips(choose(REAL, OTHER, videos=8, frames=9, seed=1)) != clips(found)
    assert len(clips(choose(REAL, OTHER, videos=100, frames=9))[0]) == 40
    samples = OTHER[:, None, :9].repeat(2, axis=1)
    pairs = choose(REAL[:, :9], samples, videos=8, paired=True).pairs
    assert [pair.real.video for pair in pairs] == taken[0]
    assert [clip.video for clip in pairs[0].samples] == [2 * taken[0][0], 2 * taken[0][0] + 1]


def test_random_starts_are_of_each_video(choose):
    found = choose(REAL, OTHER, clips="random", frames=9)
    starts = [clip.start for clip in found.sides[0].clips]
    assert len(set(starts)) > 8 and max(starts) <= 21
    assert clips(choose(REAL, OTHER, clips="random", frames=9)) == clips(found)


def test_grey_within_what_a_codec_rounds(choose):
    grey = REAL[:2, :9, ..., :1].repeat(3, axis=-1)
    grey = np.clip(np.add(grey, [0, 4, -4], dtype=int), 0, 255).astype(np.uint8)
    found = choose(grey, REAL[:2, :9, ..., :1])
    assert all(one.facts["grey"].all() for one in found.sides)
    with pytest.raises(UserError, match="the generated videos are grey"):
        choose(REAL[:2, :9], grey)
