"""One device, two replicas and two worker processes train the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_run import SMALL
from workers import finish, start_workers

from tfvrnn import config_flags
from tfvrnn.config import UserError
from tfvrnn.training import train
from tfvrnn.training.strategy import Workers, make_strategy, slurm_resolver

PROGRAM = Path(__file__).parent / "replica_program.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a function from strategy and kind of run to its results; each is trained once."""
    folder, found = tmp_path_factory.mktemp("strategies"), {}

    def train(name, kinds):
        out = folder / f"{name}-{kinds}.npz"
        if out not in found:
            command = [PROGRAM, out, name, kinds]
            if name == "multi_worker":
                ended = finish(start_workers(command))
            else:
                environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
                done = subprocess.run(
                    [sys.executable, *map(str, command)],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                ended = [(done.returncode, done.stderr)]
            for code, output in ended:
                assert code == 0, output[-3000:]
            with np.load(out) as file:
                found[out] = dict(file)
        return found[out]

    return train


def assert_equal_training(one, several, kind, losses, weights):
    assert (one["replicas"], several["replicas"]) == (1, 2)
    np.testing.assert_allclose(several[f"{kind}/losses"], one[f"{kind}/losses"], rtol=losses)
    # Only the first step is compared. Later weights differ by a rounding error.
    first, rtol = (1, 1e-3) if kind == "fp16" else (0, 1e-5)
    norms, expected = (found[f"{kind}/norms"] for found in (several, one))
    np.testing.assert_allclose(norms[first], expected[first], rtol=rtol)
    assert np.isfinite(norms[first:]).all()
    assert not np.isfinite(norms[:first]).any()  # skipped, by all
    for name in ("weights", "averages"):
        expected, found = one[f"{kind}/{name}"], several[f"{kind}/{name}"]
        moved = np.linalg.norm(expected - one[f"{kind}/begun"])
        assert moved > 0
        assert np.linalg.norm(found - expected) <= weights * moved


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["mirrored", "multi_worker"])
def test_two_take_the_steps_of_one(trained, name):
    """The runs use clipping, accumulation, weight decay and moving averages."""
    one, several = trained("one_device", "sgd"), trained(name, "sgd")
    assert_equal_training(one, several, "sgd", losses=1e-5, weights=1e-3)
    assert np.abs(several["sgd/weights"] - one["sgd/weights"]).max() <= 1e-5
    expected, found = one["sgd/gradients"], several["sgd/gradients"]
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)
    assert np.linalg.norm(expected) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mirrored", "multi_worker"])
@pytest.mark.parametrize(
    ("kind", "losses", "weights"),
    [
        ("adam", 1e-4, 1e-3),
        ("muon", 1e-4, 1e-3),
        ("fp16", 2e-4, 5e-2),
        ("calibrated", 1e-4, 1e-3),
    ],
)
def test_two_train_as_one(trained, name, kind, losses, weights):
    """Tolerances are wide: where a gradient is zero, Adam turns rounding into a whole step."""
    one, several = trained("one_device", kind), trained(name, kind)
    assert_equal_training(one, several, kind, losses, weights)


@pytest.mark.thorough
def test_all_workers_know_what_one_was_told(trained):
    assert trained("multi_worker", "sgd")["told"]
    assert not trained("one_device", "sgd")["told"]


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("multi_worker", {}),
        ("multi_worker", {"TF_CONFIG": "{"}),
        ("multi_worker", {"TF_CONFIG": "{}"}),
        ("multi_worker", {"TF_CONFIG": '{"cluster": {"worker": ["localhost:1"]}}'}),
        ("multi_worker", {"SLURM_PROCID": "0"}),
        ("tpu", {}),
    ],
)
def test_a_missing_cluster_is_one_line(monkeypatch, name, variables):
    for variable in ("TF_CONFIG", "SLURM_PROCID", "TPU_NAME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"`train.strategy` {name} cannot be set up"):
        make_strategy(name)


def test_the_workers_of_a_slurm_job_are_found(monkeypatch):
    job = {
        "SLURM_PROCID": "2",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_NODELIST": "gpu[04-05]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    }
    for variable, value in job.items():
        monkeypatch.setenv(variable, value)
    resolver = slurm_resolver()
    workers = resolver.cluster_spec().as_dict()["worker"]
    assert workers == ["gpu04:8888", "gpu04:8889", "gpu05:8888"]
    assert (resolver.task_type, resolver.task_id) == ("worker", 2)


def test_data_that_cannot_be_read_leaves_no_run_folder(tmp_path):
    changes = {"data.dataset": "bair", "data.data_dir": str(tmp_path / "none")}
    changes |= {"model.image_size": 64, "train.run_dir": str(tmp_path / "run")}
    with pytest.raises(UserError, match="bair"):
        train(config_flags.replace(SMALL, changes))
    assert not (tmp_path / "run").exists()


def test_a_worker_at_the_mean_of_the_steps_stops_with_the_others(monkeypatch):
    workers = Workers(make_strategy("one_device"))
    workers.several = True
    means = iter([2.0, 2 / 3])  # of the steps 1, 2, 3, then of the workers that differ from 2
    monkeypatch.setattr(workers, "_mean", lambda value: next(means))
    with pytest.raises(UserError, match="all workers must continue from one step"):
        workers.check_same_step(2)
