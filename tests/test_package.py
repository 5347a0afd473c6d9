"""The wheel: what is in it, and that it works where there is nothing else."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRY = """
import numpy as np
from tfvrnn.runs import load_pretrained
from tfvrnn.sampling import sample_videos
from tfvrnn.data import make_dataset

config, model, step = load_pretrained("smmnist")
videos = next(iter(make_dataset(config.data, config.model, "test")))
print(sample_videos(model, videos[:, : model.context_frames], 2, [[1]] * len(videos)).shape)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked():  # a copy: what was built there before would go into the wheel
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    # With the setuptools that is here: no network.
    options = ["--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=folder, check=True)
    return next(folder.glob("*.whl"))


def tracked():
    command = ["git", "ls-files", "tfvrnn", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_wheel_has_every_module_and_all_data(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {name for name in tracked() if name.startswith("tfvrnn/")}


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = str(tmp_path / "env" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", str(wheel)], check=True)
    done = subprocess.run(
        [python, "-c", TRY], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "(4, 1, 2, 32, 32, 1)" in done.stdout
