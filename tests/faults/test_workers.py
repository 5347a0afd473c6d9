"""A worker is killed or told to stop, all are started again, and nothing is lost."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from workers import finish, start_workers

from tfvrnn.cli import runtime
from tfvrnn.runs import checkpoint_paths, load_run

pytestmark = pytest.mark.thorough

TRAIN = Path(__file__).parents[2] / "bin" / "train.py"
OPTIONS = [
    "--train.strategy=multi_worker", "--model.image_size=8", "--model.channels=1",
    "--model.family=prednet", "--model.prednet_stacks=2,2,2", "--data.digits=1",
    "--data.horizon=2", "--data.batch_size=4", "--train.learning_rate=1e-3",
    "--train.average_decay=0.9", "--train.steps=60", "--train.checkpoint_every=5",
    "--train.validate_every=60", "--train.validation_videos=2", "--train.pictures=0",
]  # fmt: skip


def start(folder):
    return start_workers([TRAIN, f"--train.run_dir={folder}", *OPTIONS])


def wait_for_a_checkpoint(processes, folder, seconds=240):
    """Wait for a moment in the middle of a step, after the first checkpoint."""
    stop = time.monotonic() + seconds
    while not checkpoint_paths(folder / "checkpoints"):
        assert time.monotonic() < stop and all(p.poll() is None for p in processes)
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert [code for code, _ in finish(start(folder))] == [0, 0]
    return load_run(folder)


def assert_ended_as(undisturbed, folder, disturbed):
    _, expected, step = undisturbed
    _, found, found_step = disturbed
    assert step == found_step == 60
    for a, b in zip(expected.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4)


@pytest.mark.parametrize("killed", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_worker_costs_no_more_than_the_steps_since_the_checkpoint(
    undisturbed, tmp_path, killed
):
    processes = start(tmp_path / "run")
    wait_for_a_checkpoint(processes, tmp_path / "run")
    processes[killed].kill()
    other = processes[1 - killed]
    try:
        # The other worker cannot continue without it: it ends by itself, with an error.
        assert other.wait(timeout=120) != 0
    finally:
        other.kill()
        finish(processes)
    ended = finish(start(tmp_path / "run"))
    assert [code for code, _ in ended] == [0, 0], ended[0][1][-2000:]
    assert "resuming" in ended[0][1]
    assert_ended_as(undisturbed, tmp_path / "run", load_run(tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_any_worker_saves_and_stops_all(undisturbed, tmp_path, told):
    processes = start(tmp_path / "run")
    wait_for_a_checkpoint(processes, tmp_path / "run")
    processes[told].send_signal(signal.SIGTERM)
    ended = finish(processes)
    assert [code for code, _ in ended] == [runtime.STOPPED] * 2, ended[0][1][-2000:]
    assert all("stopped, saved" in output for _, output in ended)
    assert [code for code, _ in finish(start(tmp_path / "run"))] == [0, 0]
    assert_ended_as(undisturbed, tmp_path / "run", load_run(tmp_path / "run"))
