"""Every flagfile parses, says its purpose, and takes a step at reduced width."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfvrnn import config_flags
from tfvrnn.cli import measure
from tfvrnn.cli.evaluate import Options
from tfvrnn.config import Config, EvalConfig
from tfvrnn.metrics.i3d import LEAST_FRAMES
from tfvrnn.models import build_model
from tfvrnn.training.optimizer import make_optimizer
from tfvrnn.training.step import make_train_step

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs").glob("*.flags"))
EVAL_FILES = sorted((ROOT / "configs" / "eval").glob("*.flags"))
MEASURE_FILES = sorted((ROOT / "configs" / "measure").glob("*.flags"))
PAPER_SIZE = ("smmnist", "bair", "cityscapes64", "cityscapes128")


def load(path, monkeypatch, **changes):
    monkeypatch.chdir(ROOT)  # flagfiles are run from here, and find each other
    return config_flags.replace(config_flags.from_flagfile(path, Config()), changes)


@pytest.mark.parametrize("path", FILES + EVAL_FILES + MEASURE_FILES, ids=lambda path: path.stem)
def test_it_says_how_to_run_it_what_it_costs_what_to_expect_and_why_it_sets_what(path):
    head, *settings = path.read_text().split("\n\n")
    assert re.findall(r"^# (\w+):", head, re.MULTILINE)[-3:] == ["Run", "Cost", "Expect"]
    program = "train" if path in FILES else path.parent.name.replace("eval", "evaluate")
    name = path.relative_to(ROOT / "configs").as_posix()
    run = re.search(r"^# Run: (.*)$", head, re.MULTILINE)[1]
    assert run.split()[:2] == ["tfvrnn", program] and f"--flagfile={name}" in run.split()
    assert not re.search("^--", head, re.MULTILINE)
    assert settings and all(re.match("# .*\n(# .*\n)*--", group) for group in settings)


@pytest.mark.parametrize("name", PAPER_SIZE)
def test_the_papers_size(name, monkeypatch):
    config = load(ROOT / "configs" / f"{name}.flags", monkeypatch)
    assert config.model.width == 64 and config.model.groups == 16
    levels = (1, 16, 64) if name == "cityscapes128" else (1, 8, 32)
    assert config.model.resolved_latent_resolutions == levels


@pytest.mark.thorough
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_one_step_with_the_width_shrunk(path, monkeypatch, eagerly):
    shrunk = {"model.width": 4, "model.groups": 2, "data.horizon": 2}
    portions = load(path, monkeypatch).train.accumulate
    batch = portions if portions > 1 else 2
    config = load(path, monkeypatch, **shrunk, **{"data.batch_size": batch})
    model = build_model(config.model, config.train.precision)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    shape = (batch, config.frames, *config.model.image_shape)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    metrics = make_train_step(model, optimizer, config)(frames, tf.constant(0, tf.int64))
    assert np.isfinite(float(metrics["loss"]))
    assert set(model.latent_resolutions) == {
        int(name[3:]) for name in metrics if name.startswith("kl_")
    }


@pytest.mark.parametrize("path", EVAL_FILES, ids=lambda path: path.stem)
def test_an_evaluation_sets_only_options_of_evaluations(path):
    changes = config_flags.parse_changes([f"--flagfile={path}"], Options)
    assert changes and all(name.startswith("eval.") for name in changes)
    settings = config_flags.replace(EvalConfig(), {k[5:]: v for k, v in changes.items()})
    assert settings.horizon >= LEAST_FRAMES and settings.lpips == "alex"


@pytest.mark.parametrize("path", MEASURE_FILES, ids=lambda path: path.stem)
def test_a_protocol_of_measurements_names_no_videos_and_measures_what_it_says(path):
    changes = config_flags.parse_changes([f"--flagfile=measure/{path.name}"], measure.Options)
    assert changes and not {"real", "generated", "out"} & set(changes)
    settings = config_flags.build(measure.Options, {**changes, "real": "a", "generated": "b"})
    assert settings.paired or settings.frames >= LEAST_FRAMES
