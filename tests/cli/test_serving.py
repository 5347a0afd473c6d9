"""Test the results and the one-line errors of bin/export.py, predict.py and serve.py."""

import re
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from program_tools import ROOT, assert_refused

from tfvrnn import config_flags, media
from tfvrnn.config import Config
from tfvrnn.runs import RunFolder


@pytest.fixture
def clip(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)
    media.write_video(tmp_path / "clip.gif", frames, 8.0)
    return tmp_path / "clip.gif"


def test_a_run_is_exported_and_its_export_continues_a_clip(start, copying_run, clip):
    code, out, _ = start("export.py", f"--run_dir={copying_run}", "--out=base", "--max_batch=2")
    assert code == 0 and "bin/serve.py --export=base" in out
    for source in ("--export=base", f"--run_dir={copying_run}"):
        code, out, text = start("predict.py", source, f"--video={clip}", "--samples=2", "--scale=1")
        assert code == 0 and "2 frames given, 2 predicted, 2 futures" in out
        # Only a run is traced.
        assert ("futures: 2 of 2 frames; first" in text) == source.startswith("--run_dir")
        found = media.read_video("prediction.gif")
        assert found.shape == (4, 12, 2 * 12 + 2, 3)
        # The context is the clip's end. A GIF's palette changes colours a little.
        context = media.fit(media.read_video(clip)[-2:], (8, 8, 1))
        assert np.abs(found[:2, 2:10, 2:10, :1].astype(int) - context).max() <= 16
    result = start("predict.py", "--export=base", f"--video={clip}", "--horizon=9")
    assert_refused(result, "`horizon` must be 2, that of the export. Received: 9")
    code, *_ = start(
        "predict.py", f"--run_dir={copying_run}", f"--video={clip}", "--horizon=5",
        "--out=long.mp4", "--start=1",
    )  # fmt: skip
    assert code == 0 and len(media.read_video("long.mp4")) == 7


@pytest.mark.thorough
def test_a_pretrained_model_works_at_once(start, clip, tmp_path):
    code, out, _ = start("sample.py", "--pretrained=smmnist", "--contexts=1", "--samples=1")
    assert code == 0 and out.startswith("samples.gif: 1 test videos after step ")
    code, *_ = start("predict.py", "--pretrained=smmnist", f"--video={clip}", "--samples=1")
    assert code == 0 and len(media.read_video("prediction.gif")) == 3 + 7
    code, *_ = start("export.py", "--pretrained=smmnist", "--out=base", "--max_batch=1")
    assert code == 0 and (tmp_path / "base" / "1" / "saved_model.pb").is_file()


@pytest.mark.parametrize("name", ["sample.py", "export.py", "predict.py"])
def test_pretrained_must_exist_and_excludes_run_dir(start, name):
    assert_refused(
        start(name, "--pretrained=mnist"),
        "flag --pretrained=mnist: value should be one of <smmnist|",
    )
    both = start(name, "--pretrained=smmnist", "--run_dir=r")
    assert_refused(both, "one of `run_dir`")


def test_serve_answers_until_it_is_told_to_stop(start, copying_run, clip, tmp_path):
    start("export.py", f"--run_dir={copying_run}", "--out=base", "--max_batch=2")
    command = [sys.executable, str(ROOT / "bin" / "serve.py"), "--export=base", "--port=0"]
    process = subprocess.Popen(
        [*command, "--rest_port=0"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        port = re.search(r"gRPC at 127.0.0.1:(\d+),", process.stdout.readline()).group(1)
        assert "serving version 1" in process.stdout.readline()
        server = f"--server=127.0.0.1:{port}"
        code, *_ = start("predict.py", server, f"--video={clip}", "--samples=3")
        assert code == 0 and len(media.read_video("prediction.gif")) == 4
        result = start("predict.py", server, f"--video={clip}", "--name=other")
        assert_refused(result, "refuses: NOT_FOUND")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.stdout.close()


def test_export_refuses(start, tmp_path, copying_run):
    assert_refused(start("export.py", "--out=base"), "`run_dir` must name a run folder")
    assert_refused(start("export.py", "--run_dir=r", "--out=base"), "no run in r")
    assert_refused(start("export.py", "--run_dir=r"), "`out` must name a folder")
    wrong = start("export.py", "--run_dir=r", "--out=b", "--horizon=0")
    assert_refused(wrong, "`horizon` must be at least 1")
    wrong = start("export.py", "--run_dir=r", "--out=b", "--name=a/b")
    assert_refused(wrong, "`name` must be letters, digits, - and _. Received: 'a/b'")
    (tmp_path / "run").mkdir()
    RunFolder(tmp_path / "run").write_config(
        config_flags.replace(Config(), {"model.width": 8, "model.groups": 2})
    )
    result = start("export.py", "--run_dir=run", "--out=base")
    assert_refused(result, "no whole checkpoint in run/checkpoints")
    (tmp_path / "file").touch()
    result = start("export.py", f"--run_dir={copying_run}", "--out=file/base")
    assert_refused(result, "cannot write the export into file/base")
    assert not (tmp_path / "base").exists()


def test_predict_refuses(start, tmp_path, clip):
    given = f"--video={clip}"
    assert_refused(start("predict.py", given), "exactly one of `run_dir`, `pretrained`, `export`")
    both = start("predict.py", given, "--run_dir=r", "--export=e")
    assert_refused(both, "Received: run_dir, export")
    assert_refused(start("predict.py", given, "--run_dir=r"), "no run in r")
    assert_refused(start("predict.py", given, "--export=e"), "no version in e")
    assert_refused(start("predict.py", "--export=e"), "`video` must name a video")
    result = start("predict.py", "--export=e", "--video=missing.mp4")
    assert_refused(result, "no video missing.mp4")
    (tmp_path / "zero.mp4").touch()
    result = start("predict.py", "--export=e", "--video=zero.mp4")
    assert_refused(result, "zero.mp4 cannot be read")
    result = start("predict.py", given, "--export=e", "--out=a.txt")
    assert_refused(result, "`out` must end in .gif, .mp4, .webm")
    result = start("predict.py", given, "--export=e", "--out=.gif")
    assert_refused(result, "`out` must end in .gif, .mp4, .webm")
    result = start("predict.py", given, "--export=e", "--out=nowhere/a.gif")
    assert_refused(result, "no folder nowhere")
    result = start("predict.py", given, "--export=e", "--seed=2147483647")
    assert_refused(result, "`seed` and the seeds that follow it must be below 2**31")
    result = start("predict.py", given, "--export=e", "--frame_rate=60")
    assert_refused(result, "`frame_rate` must lie in 1 to 50")  # for a GIF
    result = start("predict.py", given, "--export=e", "--out=a.mp4", "--frame_rate=1e-5")
    assert_refused(result, "`frame_rate` must lie in 1 to 240")
    result = start("predict.py", given, "--server=127.0.0.1:1", "--timeout=0.5")
    code, _, text = result
    assert code == 2 and "127.0.0.1:1 does not answer gRPC in time" in text
    for server in ("http://localhost:8500", "localhost", "localhost:"):
        result = start("predict.py", given, f"--server={server}")
        assert_refused(result, "`server` must be HOST:PORT of gRPC")
    (tmp_path / "e" / "1").mkdir(parents=True)
    result = start("predict.py", given, "--export=e")
    assert_refused(result, "e/1 holds no sampler")
    (tmp_path / "e" / "1" / "saved_model.pb").write_bytes(b"garbage")
    assert_refused(start("predict.py", given, "--export=e"), "e/1 holds no sampler")
    (tmp_path / "a.gif").mkdir()
    assert_refused(start("predict.py", given, "--export=e", "--out=a.gif"), "cannot write a.gif")
    shutil.rmtree(tmp_path / "e")
    (tmp_path / "a.gif").rmdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.gif", "zero.mp4"]


def test_predict_refuses_a_clip_shorter_than_the_context(start, copying_run, clip):
    given = [f"--run_dir={copying_run}", f"--video={clip}"]
    result = start("predict.py", *given, "--stride=5")
    assert_refused(result, "clip.gif has 5 frames; it needs 6")
    result = start("predict.py", *given, "--start=4")
    assert_refused(result, "clip.gif has 5 frames; it needs 2 from frame 4")


def test_serve_refuses(start, tmp_path):
    assert_refused(start("serve.py"), "`export` must name an export's folder")
    result = start("serve.py", "--export=none", "--port=0", "--rest_port=0")
    assert_refused(result, "no version in none")
    wrong = start("serve.py", "--export=none", "--port=70000")
    assert_refused(wrong, "`port` must be below 65536")
    (tmp_path / "base" / "1").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("port", "rest_port"):
            other = "rest_port" if option == "port" else "port"
            result = start("serve.py", "--export=base", f"--{option}={port}", f"--{other}=0")
            assert_refused(result, f"cannot listen at 127.0.0.1:{port}: Address already in use")
