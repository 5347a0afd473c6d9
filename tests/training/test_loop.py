"""Test whole runs: their files, and how they stop, resume and fail."""

import io
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from marks import thorough
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_run import SMALL

from tfvrnn import config_flags, sampling
from tfvrnn.config import UserError
from tfvrnn.runs import RunFolder, checkpoint_paths, load_run
from tfvrnn.training import TrainingDiverged, loop, train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train 6 steps of a tiny run with moving averages, eagerly: (folder, configuration)."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    config = config_flags.replace(SMALL, {"train.run_dir": str(folder), "train.average_decay": 0.5})
    tf.config.run_functions_eagerly(True)
    try:
        assert train(config).step == 6
    finally:
        tf.config.run_functions_eagerly(False)
    return folder, config


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory):
    """Train such a run of a model whose step is traced in a tenth of the time."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    plain = {"model.family": "prednet", "model.prednet_stacks": (2, 2, 2)}
    config = config_flags.replace(SMALL, {**plain, "train.run_dir": str(folder)})
    assert train(config).step == 6
    return folder, config


def copied(run, folder):
    shutil.copytree(run[0], folder)
    return folder, config_flags.replace(run[1], {"train.run_dir": str(folder)})


@pytest.fixture
def copy(run, tmp_path):
    """Copy the run, so that a test may damage it: (folder, configuration)."""
    return copied(run, tmp_path / "copy")


@pytest.fixture
def plain_copy(plain_run, tmp_path):
    """Copy the plain run, so that a test may continue it."""
    return copied(plain_run, tmp_path / "copy")


def events(folder, part):
    accumulator = EventAccumulator(str(folder / "tensorboard" / part), {"tensors": 0})
    accumulator.Reload()
    return accumulator


def test_a_run_folder_holds_its_parts(run):
    folder, config = run
    assert sorted(p.name for p in folder.iterdir()) == [
        "checkpoints",
        "config.flags",
        "lock",
        "tensorboard",
    ]
    assert RunFolder(folder).read_config() == config
    assert "run_dir" not in (folder / "config.flags").read_text()
    assert [p.name for p in checkpoint_paths(folder / "checkpoints")] == ["ckpt-6", "ckpt-3"]


def test_the_list_of_checkpoints_holds_neither_times_nor_places(run):
    lines = (run[0] / "checkpoints" / "checkpoint").read_text().splitlines()
    names = ["ckpt-3", "ckpt-6"]
    assert lines == [
        'model_checkpoint_path: "ckpt-6"',
        *(f'all_model_checkpoint_paths: "{name}"' for name in names),
    ]


def test_scalars_of_training_and_validation(run):
    training, validation = events(run[0], "train"), events(run[0], "validation")
    elbo = {f"elbo/{n}" for n in ("negative_elbo", "reconstruction", "kl", "kl_1", "kl_4")}
    rest = {
        f"training/{n}" for n in ("beta", "learning_rate", "gradient_norm", "frames_per_second")
    }
    assert elbo | rest | {"configuration"} <= set(training.Tags()["tensors"])
    active = {"latents/active_channels_1", "latents/active_channels_4"}
    assert elbo | active | {"elbo/copy_last"} <= set(validation.Tags()["tensors"])
    steps = {
        "train": [e.step for e in training.Tensors("elbo/kl")],
        "validation": [e.step for e in validation.Tensors("elbo/kl")],
    }
    assert steps == {"train": [1, 2, 4, 6], "validation": [3, 6]}


def test_pictures_show_truth_posterior_mean_and_samples(run):
    validation = events(run[0], "validation")
    for number in range(2):
        strip = validation.Tensors(f"strips/{number}")[-1].tensor_proto.string_val
        image = Image.open(io.BytesIO(strip[2]))
        assert image.size == (4 * 8 + 3 * 2, 6 * 8 + 5 * 2)
        width, height, gif = validation.Tensors(f"videos/{number}")[-1].tensor_proto.string_val
        animation = Image.open(io.BytesIO(gif))
        assert (animation.format, animation.n_frames) == ("GIF", 4)
        assert animation.size == (int(width), int(height)) == (6 * 8 + 5 * 2, 8)


def test_hparams_and_configuration_are_written(run):
    validation = events(run[0], "validation")
    assert {"_hparams_/experiment", "_hparams_/session_start_info"} <= set(
        validation.Tags()["tensors"]
    )
    start = validation.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert str(run[0]).encode() in start  # the name of the run, for TensorBoard's table of runs
    text = events(run[0], "train").Tensors("configuration")[0]
    assert b"--model.width=8" in text.tensor_proto.string_val[0]


def test_load_run_takes_the_moving_averages(run):
    folder, config = run
    loaded, model, step = load_run(folder)
    assert (loaded, step) == (config, 6)
    saved = tf.train.load_checkpoint(str(folder / "checkpoints" / "ckpt-6"))
    for number, weight in enumerate(model.trainable_variables):
        name = f"averages/{number}/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(weight.numpy(), saved.get_tensor(name))
    context = np.zeros((1, 2, 8, 8, 1), np.uint8)
    assert sampling.sample_videos(model, context, 3, [5]).shape == (1, 3, 8, 8, 1)


def test_resuming_says_so_and_starts_where_it_stopped(plain_copy, capsys):
    folder, config = plain_copy
    outcome = train(config_flags.replace(config, {"train.steps": 7}))
    assert outcome.step == 7
    assert f"resuming {folder} after step 6 (ckpt-6)" in capsys.readouterr().out
    saved = tf.train.load_checkpoint(str(folder / "checkpoints" / "ckpt-7"))
    assert saved.get_tensor("videos/.ATTRIBUTES/VARIABLE_VALUE") == 7 * 4


def test_a_finished_run_has_nothing_left_to_do(copy):
    folder, config = copy
    before = sorted((folder / "checkpoints").iterdir())
    assert train(config).step == 6
    assert sorted((folder / "checkpoints").iterdir()) == before


@pytest.mark.thorough
def test_only_the_newest_checkpoints_are_kept(plain_copy):
    folder, config = plain_copy
    train(config_flags.replace(config, {"train.steps": 12, "train.checkpoints_to_keep": 2}))
    assert [p.name for p in checkpoint_paths(folder / "checkpoints")] == ["ckpt-12", "ckpt-9"]


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_sample_program_draws_a_grid_of_futures(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "samples.gif"
    options = ["--contexts=2", "--samples=1", "--horizon=5", "--scale=1"]
    arguments = ["sample.py", f"--run_dir={run[0]}", f"--out={out}", *options]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "bin" / "sample.py"), run_name="__main__")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "2 test videos after step 6; columns: truth, mean, sample 1" in printed
    with Image.open(out) as image:
        side = 8 + 2 * 2  # with a border of 2 pixels
        assert image.size == (3 * side + 2 * 2, 2 * side + 2)


def damage_truncate_data(folder):
    path = folder / "ckpt-6.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_flip_data(folder):
    path = folder / "ckpt-6.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def damage_delete_data(folder):
    (folder / "ckpt-6.data-00000-of-00001").unlink()


def damage_truncate_index(folder):
    path = folder / "ckpt-6.index"
    path.write_bytes(path.read_bytes()[:100])


def damage_empty_index(folder):
    (folder / "ckpt-6.index").write_bytes(b"")


DAMAGES = damage_truncate_data, damage_flip_data, damage_delete_data
DAMAGES += damage_truncate_index, damage_empty_index


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(copy, capsys, damage):
    folder, _ = copy
    damage(folder / "checkpoints")
    _, model, step = load_run(folder)
    assert step == 3 and np.isfinite(model.get_weights()[0]).all()
    message = capsys.readouterr().err
    assert "ckpt-6 is not whole" in message and "skipped" in message


@pytest.mark.thorough
def test_a_deleted_newest_checkpoint_or_list_of_them_does_not_matter(copy):
    folder, _ = copy
    (folder / "checkpoints" / "checkpoint").unlink()
    assert load_run(folder)[2] == 6
    for path in (folder / "checkpoints").glob("ckpt-6*"):
        path.unlink()
    assert load_run(folder)[2] == 3


def test_a_run_without_a_whole_checkpoint_is_not_started_anew(copy):
    folder, config = copy
    for path in (folder / "checkpoints").glob("*.index"):
        path.write_bytes(b"")
    before = (folder / "config.flags").read_text()
    with pytest.raises(UserError, match=r"no whole checkpoint in .*: nothing to continue from"):
        train(config_flags.replace(config, {"train.steps": 9}))
    assert (folder / "config.flags").read_text() == before


@pytest.mark.thorough
def test_a_deleted_part_of_the_newest_checkpoint_is_reported(plain_copy, capsys):
    folder, config = plain_copy
    (folder / "checkpoints" / "ckpt-6.index").unlink()
    assert train(config_flags.replace(config, {"train.steps": 4})).step == 4
    told = capsys.readouterr()
    assert "ckpt-6 is not whole" in told.err and "after step 3 (ckpt-3)" in told.out


@pytest.mark.thorough
def test_the_precision_may_change_between_stops(plain_copy):
    _, config = plain_copy
    changes = {"train.precision": "mixed_float16", "train.steps": 7, "train.validate_every": 50}
    changed = config_flags.replace(config, changes)
    assert train(changed).step == 7
    back = config_flags.replace(changed, {"train.precision": "float32", "train.steps": 8})
    assert train(back).step == 8


def test_a_run_that_another_process_trains_is_refused(copy):
    folder, config = copy
    with RunFolder(folder).locked(), pytest.raises(UserError, match=rf"is training in {folder}"):
        train(config_flags.replace(config, {"train.steps": 9}))


def test_a_checkpoint_of_another_shape_is_not_taken(copy):
    folder, _ = copy
    other = config_flags.replace(RunFolder(folder).read_config(), {"model.width": 16})
    RunFolder(folder).write_config(other)
    with pytest.raises(UserError, match="ckpt-6 holds the weights of another model"):
        load_run(folder)


@pytest.mark.thorough
def test_init_from_starts_a_new_run_from_the_weights(copy, tmp_path, monkeypatch, capsys):
    folder, config = copy
    changes = {"train.run_dir": str(tmp_path / "new"), "train.init_from": str(folder)}
    config = config_flags.replace(config, changes)
    started = []

    def make_stop(model, *_):
        def stop(frames, step):
            assert step == 0
            started.extend(model.get_weights())
            raise KeyboardInterrupt

        return stop

    monkeypatch.setattr(loop, "make_train_step", make_stop)

    with pytest.raises(KeyboardInterrupt):
        train(config)
    assert f"starting from the weights of {folder}, step 6" in capsys.readouterr().out
    for a, b in zip(started, load_run(folder)[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "broken,name",
    [("loss", "loss"), thorough("gradient_norm", "gradient norm")],
)
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run(copy, monkeypatch, broken, name):
    folder, config = copy

    def diverges(*_):
        one = tf.constant(1.0)
        metrics = {"loss": one, "gradient_norm": one, "beta": one} | {broken: tf.constant(np.nan)}
        return lambda frames, step: metrics

    monkeypatch.setattr(loop, "make_train_step", diverges)
    with pytest.raises(
        TrainingDiverged, match=rf"{name} of step 7 is nan.*checkpoint is .*ckpt-6$"
    ):
        train(config_flags.replace(config, {"train.steps": 9}))
    assert [p.name for p in checkpoint_paths(folder / "checkpoints")] == ["ckpt-6", "ckpt-3"]


@pytest.mark.parametrize("number", [signal.SIGTERM, thorough(signal.SIGINT)])
def test_a_signal_saves_after_the_current_step(plain_copy, monkeypatch, number):
    folder, config = plain_copy
    add = loop.Log.add

    def kill(self, metrics):
        os.kill(os.getpid(), number)
        add(self, metrics)

    monkeypatch.setattr(loop.Log, "add", kill)
    more = {"train.steps": 100, "train.validate_every": 7}
    outcome = train(config_flags.replace(config, more))
    assert outcome.stopped and outcome.step == 7 and not outcome.validation
    assert load_run(folder)[2] == 7


def start(folder, *arguments):
    """Start bin/train.py as a separate process."""
    command = [
        sys.executable,
        str(ROOT / "bin" / "train.py"),
        f"--train.run_dir={folder}",
        *arguments,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path, process, seconds=300):
    limit = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < limit, "the run did not come so far"
        time.sleep(0.02)


@pytest.mark.thorough
def test_six_steps_equal_three_a_kill_and_three_more_to_the_last_bit(small, tmp_path):
    flags = tmp_path / "small.flags"
    config = small(
        train__deterministic=True, train__average_decay=0.9, train__pictures=0,
        train__precision="mixed_float16", train__validate_every=1000,
        model__latent_resolutions=(1,),
    )  # fmt: skip
    flags.write_text(config_flags.to_flagfile(config, exclude=("train.run_dir",)))
    # All checkpoints are kept, as the run may take many more steps before it is killed.
    endless = ["--train.steps=100000", "--train.checkpoints_to_keep=100000"]
    killed = start(tmp_path / "parts", f"--flagfile={flags}", *endless)
    # A checkpoint is complete before the next one begins, so ckpt-6 is whole.
    wait_for(tmp_path / "parts" / "checkpoints" / "ckpt-9.index", killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    # `whole` keeps the undisturbed state after six steps. `parts` restarts after three.
    (tmp_path / "whole").mkdir()
    for path in (tmp_path / "parts" / "checkpoints").glob("ckpt-6.*"):
        shutil.copy(path, tmp_path / "whole")
    for path in (tmp_path / "parts" / "checkpoints").glob("ckpt-*"):
        if path.is_dir():  # it was killed while saving
            shutil.rmtree(path)
        elif not path.name.startswith("ckpt-3."):
            path.unlink()
    resumed = start(tmp_path / "parts", "--train.steps=6")
    output, _ = resumed.communicate(timeout=400)
    assert resumed.returncode == 0, output[-3000:]
    assert "after step 3 (ckpt-3)" in output
    assert f"-m tensorboard.main --logdir={tmp_path / 'parts'}" in output

    first, second = (
        tf.train.load_checkpoint(str(folder / "ckpt-6"))
        for folder in (tmp_path / "whole", tmp_path / "parts" / "checkpoints")
    )
    names = first.get_variable_to_shape_map()
    assert names == second.get_variable_to_shape_map()
    for name in names:
        np.testing.assert_array_equal(first.get_tensor(name), second.get_tensor(name), err_msg=name)
