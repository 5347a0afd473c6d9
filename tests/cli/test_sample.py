import shutil

import numpy as np
import pytest
from PIL import Image
from program_tools import ROOT, assert_refused

from tfvrnn import files
from tfvrnn.config import Config, DataConfig, ModelConfig
from tfvrnn.runs import RunFolder


@pytest.fixture
def run(tmp_path):
    """Make a run that copies the last frame of six simulated test videos."""
    sample = ROOT / "tests" / "data" / "prepared" / "sim_push_64"
    shutil.copytree(sample, tmp_path / "data" / "sim_push_64")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    data = DataConfig("sim_push", data_dir=str(tmp_path / "data"), horizon=2)
    folder.write_config(Config(model=ModelConfig(family="copy_last"), data=data))
    files.write_arrays(folder.weights, {"step": np.int64(1)})
    return folder.path


def test_without_out_it_draws_into_the_run(start, run):
    code, out, _ = start("sample.py", f"--run_dir={run}", "--contexts=6", "--samples=1")
    assert code == 0 and out.startswith(f"{run}/samples/samples.gif: 6 test videos")
    assert (run / "samples" / "samples.gif").read_bytes().startswith(b"GIF")


def test_true_frames_have_a_green_border_and_predicted_ones_a_red_one(start, run):
    start("sample.py", f"--run_dir={run}", "--contexts=1", "--samples=1", "--scale=1")
    corners = []
    with Image.open(run / "samples" / "samples.gif") as image:
        for frame in (0, image.n_frames - 1):
            image.seek(frame)
            colours = image.convert("RGB")
            corners += [colours.getpixel((x, 0)) for x in (0, 64 + 2 * 2 + 2)]  # truth, mean
    is_green = [green > 2 * red for red, green, _ in corners]
    assert is_green == [True, True, True, False] and corners[-1][0] > 2 * corners[-1][1]


def test_a_file_in_a_folders_place_is_one_line(start, run):
    (run / "samples").touch()
    result = start("sample.py", f"--run_dir={run}", "--contexts=1")
    assert_refused(result, f"File exists: {run}/samples")


def test_a_value_is_no_call_for_help(start, run):
    assert_refused(start("sample.py", "--run_dir", "h"), "no run in h")
    assert start("sample.py", "-h")[0] == 0


def test_more_contexts_than_there_are_videos_are_refused(start, run):
    result = start("sample.py", f"--run_dir={run}", "--contexts=7")
    assert_refused(result, "the test split has 6 videos, not 7")


def test_records_that_are_cut_off_are_one_line(start, run):
    path = next(run.parent.rglob("*-test.tfrecord-*"))
    path.write_bytes(path.read_bytes()[:-100_000])
    assert_refused(start("sample.py", f"--run_dir={run}", "--contexts=6"), "cannot be read")


@pytest.mark.thorough
def test_a_preset_of_a_prepared_dataset_draws_the_clips_that_came_with_it(start, tmp_path):
    code, out, _ = start("sample.py", "--pretrained=sim_push", "--contexts=1", "--horizon=2")
    assert code == 0 and out.startswith("samples.gif: 1 test videos")
    assert (tmp_path / "samples.gif").read_bytes().startswith(b"GIF")


def test_a_picture_larger_than_a_gif_is_refused(start, run):
    result = start("sample.py", f"--run_dir={run}", "--contexts=1", "--samples=500")
    assert_refused(result, "a .gif has at most 65535")
