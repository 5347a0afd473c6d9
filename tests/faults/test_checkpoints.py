"""Checkpoints that are cut off, and disks that are full."""

import pickle
import resource

import numpy as np
import pytest
import tensorflow as tf
from tiny_run import SMALL

from tfvrnn import config_flags
from tfvrnn.config import Config, ModelConfig, TrainConfig, UserError
from tfvrnn.models import build_model
from tfvrnn.runs import RunFolder, checkpoint_paths, load_run, resume
from tfvrnn.runs.checkpoints import Checkpoints
from tfvrnn.training import train
from tfvrnn.training.optimizer import make_optimizer

PLACES = 20


@pytest.fixture
def saved(tmp_path):
    """Make a run with checkpoints of steps 1 and 2, whose weights are all 1 and all 2."""
    folder = RunFolder(tmp_path / "run")
    config = Config(
        model=ModelConfig(family="prednet", prednet_stacks=(4, 4, 4), image_size=8, channels=1),
        train=TrainConfig(),
    )
    folder.checkpoints.mkdir(parents=True)
    folder.write_config(config)
    model = build_model(config.model)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    checkpoints = Checkpoints(folder, model, optimizer)
    for step in (1, 2):
        fill(model, step)
        checkpoints.advance()
        checkpoints.save()
    return folder, model, checkpoints


def fill(model, value):
    model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])


@pytest.mark.parametrize("kind", ["index", "data-00000-of-00001"])
def test_cut_off_at_any_of_20_places_the_one_before_is_taken(saved, kind):
    folder, _, _ = saved
    path = folder.checkpoints / f"ckpt-2.{kind}"
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, PLACES).astype(int):
        path.write_bytes(whole[:place])
        _, model, step = load_run(folder.path)
        assert step == 1, place
        assert all((weight == 1).all() for weight in model.get_weights())
    path.write_bytes(whole)
    assert load_run(folder.path)[2] == 2


def test_a_first_checkpoint_that_was_cut_off_is_no_checkpoint(saved):
    """TensorFlow renames the data first. The index and the list of checkpoints follow later."""
    folder, model, _ = saved
    for path in folder.checkpoints.iterdir():
        if path.name != "ckpt-1.data-00000-of-00001":
            path.unlink()
    optimizer = make_optimizer(TrainConfig())
    optimizer.build(model.trainable_variables)
    checkpoints = Checkpoints(folder, model, optimizer)
    resume.restore(folder.read_config(), folder, model, checkpoints)
    assert checkpoints.step == 0
    checkpoints.advance()
    checkpoints.save()
    assert load_run(folder.path)[2] == 1


def test_those_that_are_not_whole_are_the_first_to_go(saved):
    folder, model, _ = saved
    (folder.checkpoints / "ckpt-2.index").write_bytes(b"")
    optimizer = make_optimizer(TrainConfig())
    optimizer.build(model.trainable_variables)
    checkpoints = Checkpoints(folder, model, optimizer, keep=2)
    assert checkpoints.restore().name == "ckpt-1"
    kept = {3: ["ckpt-3", "ckpt-1"], 4: ["ckpt-4", "ckpt-3"]}
    for step, names in kept.items():
        checkpoints._step.assign(step)
        checkpoints.save()
        assert [path.name for path in checkpoint_paths(folder.checkpoints)] == names
        # The list is for TensorFlow's own tools.
        latest = tf.train.latest_checkpoint(str(folder.checkpoints))
        assert latest == f"{folder.checkpoints}/ckpt-{step}"


class Trap:
    """Fails the test if it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize("kind", ["index", "data-00000-of-00001"])
def test_a_trap_in_place_of_a_checkpoint_does_not_run(saved, kind):
    folder, _, checkpoints = saved
    (folder.checkpoints / f"ckpt-2.{kind}").write_bytes(pickle.dumps(Trap()))
    assert load_run(folder.path)[2] == 1
    assert checkpoints.restore().name == "ckpt-1"


def test_a_full_disk_is_one_line_and_what_was_saved_stays(saved):
    folder, model, checkpoints = saved
    fill(model, 3)
    checkpoints.advance()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match=r"checkpoint of step 3 cannot be written"):
            checkpoints.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _, loaded, step = load_run(folder.path)
    assert step == 2 and all((weight == 2).all() for weight in loaded.get_weights())
    # With room again, the run continues.
    assert checkpoints.restore().name == "ckpt-2"
    checkpoints.advance()
    checkpoints.save()
    assert load_run(folder.path)[2] == 3
    assert len(tf.io.gfile.glob(f"{folder.checkpoints}/*temp*")) == 0


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("room", [0, 500, 3_000, 30_000])
def test_a_run_on_a_full_disk_ends_with_one_line_and_begins_later(tmp_path, room):
    """The disk fills at any stage: the lock, the configuration, the logs, the first checkpoint."""
    config = config_flags.replace(
        SMALL,
        {
            "train.run_dir": str(tmp_path / "run"),
            "train.pictures": 0,
            "train.steps": 1,
            "model.family": "prednet",
            "model.prednet_stacks": (2, 2, 2),
        },
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(UserError, match=r"cannot be (locked|written)|cannot write into"):
            train(config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert train(config).step == 1


@pytest.mark.parametrize("lost", ["step", "float16"])
def test_a_checkpoint_without_its_parts_is_one_line(saved, lost):
    folder, model, _ = saved
    dtype = np.float16 if lost == "float16" else np.float32
    parts = {"weights": [tf.Variable(weight.astype(dtype)) for weight in model.get_weights()]}
    if lost != "step":
        parts["step"] = tf.Variable(3, dtype=tf.int64)
    tf.train.Checkpoint(**parts).write(str(folder.checkpoints / "ckpt-3"))
    with pytest.raises(UserError, match=r"checkpoint .*ckpt-3 cannot be restored: ") as error:
        load_run(folder.path)
    assert "\n" not in str(error.value)


def test_a_name_with_other_digits_is_no_checkpoint(saved):
    folder, _, _ = saved
    (folder.checkpoints / "ckpt-².index").write_bytes(b"")
    assert [path.name for path in checkpoint_paths(folder.checkpoints)] == ["ckpt-2", "ckpt-1"]
