"""The wheel has the right content, and works without anything else."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TINY = [
    "--flagfile=quickstart.flags",  # found among the package's flagfiles
    "--model.image_size=8",
    "--model.width=8",
    "--model.groups=2",
    "--model.latent_resolutions=1",
    "--model.latent_channels=8",
    "--data.horizon=2",
    "--data.batch_size=2",
    "--train.steps=1",
    "--train.validation_videos=2",
]
OFFLINE = [
    "--eval.fvd_network=none",
    "--eval.lpips=none",
    "--eval.ssim=uniform",
    "--eval.videos=2",
    "--eval.samples=2",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked():  # a copy, because earlier builds would go into the wheel
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    # The installed setuptools is used, without a network.
    options = ["--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=folder, check=True)
    return next(folder.glob("*.whl"))


def tracked():
    """List the files that make a wheel."""
    parts = ["tfvrnn", "configs", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]
    command = ["git", "ls-files", *parts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_wheel_has_every_module_and_all_data(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {name for name in tracked() if name.startswith("tfvrnn/")} - {"tfvrnn/configs"}
    flagfiles = {f"tfvrnn/{name}" for name in tracked() if name.startswith("configs/")}
    assert names == expected | flagfiles and "tfvrnn/configs/quickstart.flags" in names


def test_the_wheel_names_the_command(wheel):
    archive = zipfile.ZipFile(wheel)
    name = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "tfvrnn = tfvrnn.cli.main:main" in archive.read(name).decode()


@pytest.mark.thorough
def test_the_programs_run_without_a_checkout(wheel, tmp_path):
    """Run them in an empty folder, with the dependencies installed here."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "empty").mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}

    def run(*arguments):
        command = [sys.executable, "-m", "tfvrnn", *arguments]
        return run_in(tmp_path / "empty", command, environment)

    assert "train     Train a video predictor" in run("--help")
    assert " -m tfvrnn sample --run_dir=a" in run("train", *TINY, "--train.run_dir=a")


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_user_of_keras_trains_and_saves_without_a_checkout(wheel, tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "empty").mkdir()
    shutil.copy(ROOT / "tests" / "keras_user.py", tmp_path)
    environment = {"PYTHONPATH": str(tmp_path / "site"), "KERAS_BACKEND": backend}
    environment |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # most of the time is compilation
    command = [sys.executable, str(tmp_path / "keras_user.py")]
    out = run_in(tmp_path / "empty", command, os.environ | environment)
    assert out.endswith(f"equal frames on {backend}\n")


def run_in(folder, command, environment=None):
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    venv.create(tmp_path / "env", with_pip=True)
    programs = tmp_path / "env" / "bin"
    run_in(tmp_path, [programs / "python", "-m", "pip", "install", "-q", str(wheel)])
    (tmp_path / "empty").mkdir()

    def run(*arguments):
        return run_in(tmp_path / "empty", [programs / "tfvrnn", *arguments])

    assert "samples.gif" in run("sample", "--pretrained=smmnist", "--contexts=1")
    run("train", *TINY, "--train.run_dir=a")
    assert "SSIM" in run("evaluate", "--run_dir=a", "--flagfile=eval/quick.flags", *OFFLINE)
    run("export", "--run_dir=a", "--out=exported", "--max_batch=1")
    shutil.copy(ROOT / "docs" / "images" / "clip.gif", tmp_path / "empty")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [programs / "tfvrnn", "serve", "--export=exported", f"--port={port}", "--rest_port=0"]
    server = subprocess.Popen(command, cwd=tmp_path / "empty")
    try:
        served = run("predict", f"--server=127.0.0.1:{port}", "--video=clip.gif", "--out=b.gif")
    finally:
        server.terminate()
        server.wait()
    assert "b.gif" in served and (tmp_path / "empty" / "b.gif").is_file()
