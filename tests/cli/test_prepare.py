"""Test the results and the one-line errors of bin/prepare_data.py."""

import numpy as np
import pytest
from program_tools import ROOT, assert_refused

from tfvrnn import media
from tfvrnn.cli.prepare import Options, training_command


@pytest.fixture
def videos(tmp_path):
    (tmp_path / "videos").mkdir()
    for number in range(3):
        video = np.full((6, 20, 20, 3), 40 * number, np.uint8)
        video += np.arange(6, dtype=np.uint8)[:, None, None, None] * 5
        media.write_video(tmp_path / "videos" / f"{number}.gif", video, 5)


def test_a_folder_is_prepared_and_the_next_command_named(start, videos, tmp_path):
    arguments = ["--source=videos", "--size=8", "--clip_frames=3"]
    code, out, _ = start("prepare_data.py", *arguments)
    assert code == 0 and "train 4, test 2" in out
    assert "--flagfile=video_folder.flags --data.dataset=video_folder --data.data_dir=data" in out
    assert out.endswith(" --model.channels=3 --data.horizon=1\n")  # 2 given, 3 in a clip
    (tmp_path / "videos" / "broken.mp4").write_text("x")
    code, out, err = start("prepare_data.py", *arguments, "--data_dir=other")
    assert code == 1 and "left out: broken.mp4: " in err and "train" in out


def test_the_next_command_fits_clips_as_short_as_the_context():
    wanted = Options(dataset="video_folder", source="videos", clip_frames=2)
    assert training_command(wanted).endswith(" --model.context_frames=1 --data.horizon=1")


def test_the_fixed_scene_is_trained_as_another_dataset(start):
    sample = ROOT / "tests" / "data" / "prepared"
    arguments = ["--dataset=sim_push", "--episodes=8", "--test_episodes=6", f"--data_dir={sample}"]
    code, out, _ = start("prepare_data.py", *arguments, "--scene=fixed")
    assert code == 0 and "sim_push_fixed_64/1.0.0: train 8, test 6" in out
    assert "--data.dataset=sim_push_fixed " in out


def test_a_lack_of_long_enough_videos_is_reported_last(start, videos, tmp_path):
    code, _, err = start("prepare_data.py", "--source=videos", "--clip_frames=99")
    assert code == 2 and "error: no video for train" in err.splitlines()[-1]
    assert not list(tmp_path.rglob("dataset_info.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`source` must name"),
        (["--source=none"], "no folder none"),
        (["--source=videos/0.gif"], "videos/0.gif is a file: name its folder"),
        (["--source=videos", "--dataset=kth"], "bair|cityscapes|video_folder|sim_push|pusht"),
        (["--source=videos", "--channels=2"], "must be 1 or 3"),
        (
            ["--source=videos", "--size=48"],
            "`size` must be 8 times a power of two (8, 16, 32, ...)",
        ),
        (["--source=videos", "--clip_frames=1"], "at least 2"),
        (["--source=videos", "--test_fraction=1"], "between 0 and 1"),
        (["--source=.", "--dataset=cityscapes"], "holds no"),
        (["--source=.", "--dataset=bair"], "softmotion30_44k"),
        (["--source=.", "--dataset=bair", "--size=32"], "64x64"),
        (["--dataset=pusht", "--scene=fixed"], "only sim_push has a `scene`"),
        (["--dataset=pusht", "--test_episodes=0"], "at least 1"),
        (["--dataset=pusht", "--channels=1"], "pusht is in colour"),
        (
            ["--source=videos", "--windows=32"],
            "fit into the picture. Received: windows=32, size=64",
        ),
        (
            ["--source=videos", "--size=8", "--clip_frames=2", "--windows=32"],
            "20x20 are lower than --windows=32",
        ),
        (["--source=videos", "--siez=8"], "nearest is --size"),
    ],
)
def test_prepare_refuses(start, videos, arguments, message):
    assert_refused(start("prepare_data.py", *arguments), message)
