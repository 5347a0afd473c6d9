"""Train with Keras' JAX backend, without TensorFlow, and load the result."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import thorough

from tfvrnn import config_flags, load_run, presets
from tfvrnn.config import Config, DataConfig, ModelConfig, TrainConfig, UserError
from tfvrnn.data import first_videos, smmnist
from tfvrnn.training.optimizer import make_optimizer

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import jax_training

ROOT = Path(__file__).resolve().parents[1]

SIZE = [
    "--model.image_size=8",
    "--model.channels=1",
    "--model.width=8",
    "--model.max_channels=8",
    "--model.groups=2",
    "--model.latent_resolutions=1",
    "--model.reconstruction=gaussian",
    "--data.batch_size=4",
    "--data.horizon=2",
]
TRAINING = [
    "--train.scheduled_sampling=0.5",
    "--train.optimizer=muon",
    "--train.learning_rate=3e-3",
    "--train.average_decay=0.5",
    "--train.schedule=cosine",
]


def start(program, *arguments, path=()):
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment |= {"PYTHONPATH": os.pathsep.join([*map(str, path), str(ROOT)])}
    command = [sys.executable, str(ROOT / "benchmarks" / program), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.thorough
def test_a_model_is_trained_without_tensorflow_and_loads_with_it(tmp_path):
    clips, out = tmp_path / "clips.npz", tmp_path / "run"
    done = start("clips.py", f"--out={clips}", "--videos=40", *SIZE)
    assert done.returncode == 0, done.stderr[-2000:]
    without = tmp_path / "without" / "tensorflow"
    without.mkdir(parents=True)
    (without / "__init__.py").write_text("raise ImportError('none here')")
    training = [*SIZE, *TRAINING, "--train.steps=100", "--minutes=9"]
    program = ["accelerator.py", f"--train={clips}", f"--out={out}", *training]
    done = start(*program, path=[without.parent])
    assert done.returncode == 0, done.stderr[-2000:]
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == [20, 40, 60, 80, 100]
    assert records[-1]["loss"] < records[0]["loss"]
    config, model, step = load_run(out)
    assert step == 100 and config.train.optimizer == "muon"
    assert 0.0 < float(model.likelihood.error[0]) < 0.0625  # it left where it starts, and fell
    model.compile()
    videos = first_videos(config.data, config.model, "test", 8)
    terms = model.evaluate(videos, batch_size=8, verbose=0, return_dict=True)
    assert terms["loss"] < records[0]["loss"]
    check_that_it_continues(clips, out, tmp_path / "next", without.parent)


def check_that_it_continues(clips, out, folder, path):
    """Start from the weights in `out`, on rollouts, with steps too small to change float16."""
    options = [f"--train.init_from={out}", "--train.scheduled_mode=sequential", "--train.steps=20"]
    options += ["--train.scheduled_sampling=1", "--train.learning_rate=1e-9", "--minutes=9"]
    program = ["accelerator.py", f"--train={clips}", f"--out={folder}", *SIZE, *options]
    done = start(*program, path=[path])
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"starting from the weights of {out}, step 100" in done.stdout
    _, first, _ = load_run(out)
    _, second, step = load_run(folder)
    assert step == 20
    for before, after in zip(first.trainable_variables, second.trainable_variables):
        np.testing.assert_allclose(after, before, atol=1e-6, rtol=1e-3, err_msg=before.path)


@pytest.fixture
def clips(tmp_path, rng):
    np.savez(tmp_path / "clips.npz", frames=rng.integers(0, 256, (5, 6, 8, 8, 1), np.uint8))
    return tmp_path / "clips.npz"


def refused(clips, out, *options):
    config = config_flags.replace(Config(), config_flags.parse_changes([*SIZE, *options], Config))
    with pytest.raises(UserError) as error:
        jax_training.train(config, clips, 1.0, out)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "option,message",
    [
        ("--data.flip", "`data.flip` cannot be used here"),
        ("--train.weight_decay=0.1", "`train.weight_decay` cannot be used here"),
        ("--train.precision=mixed_float16", "cannot scale the loss here"),
        ("--train.schedule=step", "must be constant or cosine here"),
        ("--data.horizon=5", "that are long enough. Received: 6 frames of (8, 8, 1)"),
        ("--model.channels=3", "must hold videos of (8, 8, 3)"),
    ],
)
def test_options_and_videos_that_do_not_fit_are_refused(option, message, clips, tmp_path):
    assert message in refused(clips, tmp_path / "out", option)


def test_weights_of_another_model_are_refused(clips, tmp_path):
    source = f"--train.init_from={presets.FOLDER / 'smmnist'}"
    assert "holds another model: --model.image_size is 32" in refused(clips, tmp_path / "o", source)


def test_files_and_folders_that_do_not_fit_are_refused(clips, tmp_path):
    assert "cannot be read: " in refused(tmp_path / "none.npz", tmp_path / "out")
    np.savez(tmp_path / "other.npz", something=np.zeros(1))
    assert "must be a file of clips.py" in refused(tmp_path / "other.npz", tmp_path / "out")
    assert "`out` must be empty" in refused(clips, tmp_path)


@pytest.mark.parametrize(
    "option,message",
    [
        ("--minutes=x", "`--minutes` must be a positive number. Received: x"),
        thorough("--modes=int8", "`--modes` must be of float32, tf32, bf16"),
        thorough("--train=clips.npz", "`--out` must name a folder"),
    ],
)
def test_wrong_options_of_the_program_are_one_line(option, message):
    done = start("accelerator.py", option)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1]


def test_a_gradient_that_is_not_finite_changes_nothing():
    values, others = [jax.numpy.ones(2)], [jax.numpy.ones(1)]
    progress = jax_training.Progress(values, others, [], values, values, jax.numpy.int32(3))
    new = progress._replace(values=[values[0] * 2], step=progress.step + 1)
    kept = jax_training.if_finite(jax.numpy.float32("nan"), new, progress)
    assert kept.step == 4 and kept.values[0][0] == 1
    assert jax_training.if_finite(jax.numpy.float32(1), new, progress).values[0][0] == 2


def test_averages_move_towards_the_weights():
    moved = jax_training.averaged([np.float32(1)], [np.float32(3)], 0.75)
    assert moved == [1.5] and jax_training.averaged([], [np.float32(3)], 0.75) == []


@pytest.mark.thorough
def test_painted_digits_are_those_of_the_dataset():
    data = DataConfig(dataset="smmnist", digits=2, horizon=6)
    model = ModelConfig(image_size=32, channels=1, context_frames=2)
    videos = first_videos(data, model, "train", 3)
    digits = smmnist.load_digits("train")
    plans = [
        smmnist.plan_video(smmnist.video_key(0, "train", n), len(digits), 8, 32, 2)
        for n in range(3)
    ]
    images = smmnist.resize_digits(tf.constant(digits), 16).numpy()
    chosen = np.stack([images[plan[0]] for plan in plans])
    positions = np.stack([plan[1] for plan in plans]).astype(np.uint8)
    painted = np.asarray(jax_training.paint(chosen, positions))
    np.testing.assert_allclose(painted * 255, videos, atol=1e-3)


def test_windows_begin_anywhere():
    frames = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None], (5, 6, 2, 2, 1))
    videos = {"frames": jax.numpy.asarray(frames * 10)}
    drawn = np.asarray(jax_training.draw_clips(videos, jax.random.key(0), 64, 4)) * 255
    firsts = drawn[:, 0, 0, 0, 0].round().astype(int)
    assert set(firsts) == {0, 10, 20}
    np.testing.assert_allclose(
        drawn[:, :, 0, 0, 0] - firsts[:, None], [[0, 10, 20, 30]] * 64, atol=1e-4
    )


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_updates_are_those_of_the_optimizer(name):
    settings = TrainConfig(optimizer=name, learning_rate=0.01, adam_beta_2=0.9)
    rng = np.random.default_rng(0)
    shapes = [(3, 3, 2, 4), (5,), (6, 3), (3, 3, 2, 4)]
    weights = [keras.Variable(rng.normal(size=s), dtype="float32") for s in shapes]
    optimizer = make_optimizer(settings)
    optimizer.build(weights)
    values = [np.asarray(w) for w in weights]
    zeros = [np.zeros_like(v) for v in values]
    progress = jax_training.Progress(values, [], [], zeros, zeros, np.int32(0))
    for _ in range(3):
        gradients = [rng.normal(size=s).astype(np.float32) for s in shapes]
        optimizer.apply_gradients(zip(map(tf.constant, gradients), weights))
        found = jax_training.update(progress, gradients, 0.01, settings)
        progress = jax_training.Progress(found[0], [], [], *found[1:], progress.step + 1)
    for ours, theirs in zip(progress.values, weights):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_learning_rate_falls_with_the_time():
    settings = TrainConfig(learning_rate=0.1, schedule="cosine", warmup_steps=10)
    rate = jax_training.learning_rate
    assert rate(settings, 4, 0.0) == pytest.approx(0.05)
    assert rate(settings, 100, 0.5) == pytest.approx(0.05)
    assert rate(settings, 100, 1.0) == pytest.approx(0.0)
