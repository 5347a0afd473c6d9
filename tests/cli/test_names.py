"""Run all programs in folders with the oddest names that a file system accepts."""

import os
import random
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program_tools import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfvrnn import files, media
from tfvrnn.config import Config, DataConfig, ModelConfig
from tfvrnn.runs import RunFolder, checkpoint_paths, load_run
from tfvrnn.serving.servable import Servable

# Patterns, quotes, escapes, schemes, options. Each is a folder in the one before.
NAMES = [
    "lr[3e-3]", "a*b?", "{x},{SPLIT}", "#1 100%25 %s", "k=v;&|", "it's", '"quoted"', " ends ",
    "-x", "~x", "$HOME `x`", "back\\slash\\", "ünï", "line\nbreak", "x" * 255, "gs:x",
]  # fmt: skip
LETTERS = "[]*?{}#%:='\"-~$`\\&|;,!@() \n\tabcüñ漢"
TINY = """
--model.family=prednet
--model.prednet_stacks=2,2,2
--model.image_size=8
--model.channels=1
--data.horizon=2
--data.batch_size=2
--data.digits=1
--train.checkpoint_every=1
--train.checkpoints_to_keep=2
--train.validation_videos=2
--train.pictures=0
"""
EVALUATION = [
    "--eval.videos=2", "--eval.samples=1", "--eval.ssim=uniform", "--eval.lpips=none",
    "--eval.fvd_network=none",
]  # fmt: skip


def generated(seed: int, count: int) -> list[str]:
    """Draw names of up to 60 characters, most of them special to a shell or to TensorFlow."""
    rng = random.Random(seed)
    return ["".join(rng.choices(LETTERS, k=rng.randint(2, 60))) for _ in range(count)]


@pytest.fixture
def odd(tmp_path):
    """Return the innermost folder, with a flagfile and a clip in it."""
    folder = tmp_path.joinpath(*NAMES)
    folder.mkdir(parents=True)
    (folder / "inner.flags").write_text(TINY)
    (folder / "tiny [1].flags").write_text("--flagfile=inner.flags\n--train.steps=3\n")
    return folder


@pytest.mark.thorough
def test_every_program_works_with_any_name(start, odd, tmp_path, eagerly):
    own, exported, clip, written, page = generated(seed=1, count=5)
    run, export, report = odd / own, odd / exported, f"{page}.html"
    flags = f"--flagfile={odd / 'tiny [1].flags'}"
    shutil.copy(ROOT / "docs" / "images" / "clip.gif", tmp_path / f"{clip}.gif")
    code, out, _ = start("train.py", flags, f"--train.run_dir={run}")
    assert code == 0
    assert [p.name for p in checkpoint_paths(run / "checkpoints")] == ["ckpt-3", "ckpt-2"]
    for part in ("train", "validation"):
        [events] = (run / "tensorboard" / part).iterdir()
        shutil.copy(events, tmp_path / "events.out.tfevents.1")
        assert EventAccumulator(str(tmp_path / "events.out.tfevents.1")).Reload().Tags()["tensors"]

    code, out, _ = start("train.py", f"--train.run_dir={run}", "--train.steps=4")
    assert code == 0 and "after step 3 (ckpt-3)" in out
    assert [p.name for p in checkpoint_paths(run / "checkpoints")] == ["ckpt-4", "ckpt-3"]
    commands = shell_words(out)
    assert {Path(words[1]).name for words in commands} == {
        "-m", "sample.py", "evaluate.py", "export.py",
    }  # fmt: skip
    new = ["--train.run_dir=~no one's", f"--train.init_from={run}", "--train.steps=1"]
    code, out, _ = start("train.py", flags, *new)
    assert code == 0 and "step 4" in out
    assert load_run(tmp_path / "~no one's")[0].train.init_from == str(run)

    for name, *options in [
        ("sample.py", "--contexts=1", "--samples=1"),
        ("evaluate.py", *EVALUATION, f"--report={report}"),
        ("export.py", "--max_batch=1", f"--out={export}"),
    ]:
        [given] = [words[2:] for words in commands if Path(words[1]).name == name]
        code, out, _ = start(name, *given, *options)
        assert code == 0
    assert (run / "samples" / "samples.gif").is_file() and Path(report).is_file()
    assert f"--export={export}" in shell_words(out)[0]
    Servable(export / "1").warm_up()
    for source in (f"--run_dir={run}", f"--export={export}"):
        options = [f"--video={clip}.gif", "--samples=1", f"--out={written}.gif"]
        assert start("predict.py", source, *options)[0] == 0
        assert len(media.read_video(f"{written}.gif")) == 2 + 2


def shell_words(text: str) -> list[list[str]]:
    """Split the commands that a program printed, as a shell does."""
    words = shlex.split(text.partition("next:\n")[2])
    starts = [number for number, word in enumerate(words) if word == words[0]]
    return [words[a:b] for a, b in zip(starts, [*starts[1:], None])]


@pytest.mark.thorough
def test_a_checkout_with_an_odd_name_where_everything_is_set_otherwise(tmp_path):
    checkout, home = tmp_path / "proj [v2]", tmp_path / "home"
    for name in ("bin", "tfvrnn", "configs"):
        shutil.copytree(ROOT / name, checkout / name)
    (home / ".keras").mkdir(parents=True)
    (home / ".keras" / "keras.json").write_text(
        '{"image_data_format": "channels_first", "floatx": "float64", "backend": "jax"}'
    )
    folder = RunFolder(tmp_path / os.fsdecode(b"run \xff"))
    folder.path.mkdir()
    model = ModelConfig(family="copy_last", image_size=8, channels=1)
    folder.write_config(Config(model=model, data=DataConfig(horizon=2, digits=1)))
    files.write_arrays(folder.weights, {"step": 1})
    environment = {n: v for n, v in os.environ.items() if n not in ("PYTHONPATH", "KERAS_HOME")}
    environment |= {"HOME": str(home), "KERAS_BACKEND": "jax", "PYTHONIOENCODING": "ascii"}
    given = [
        f"--run_dir={folder.path}",
        f"--flagfile={checkout}/configs/eval/quick.flags",
        *EVALUATION,
    ]
    done = subprocess.run(
        [sys.executable, checkout / "bin" / "evaluate.py", *given, "--eval.horizon=none"],
        env=environment, cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:].decode()
    assert b"SSIM \\u2191" in done.stdout and b"run \xff/evaluation/report.html" in done.stdout
    assert (folder.evaluation / "report.html").is_file()
