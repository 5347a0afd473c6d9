"""benchmarks/timed_training.py gives a run its hours, and continues where it was stopped."""

import json
import signal
import subprocess
import sys
import time

import pytest
from documents import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import compare
import timed_training
from studies import STUDIES

sys.path.pop(0)

pytestmark = pytest.mark.thorough

# Replaces bin/train.py: makes checkpoints, ends on SIGTERM, writes down its options.
TRAIN = """
import json, pathlib, signal, sys, time
given = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
run = pathlib.Path(given["train.run_dir"])
checkpoints = run / "checkpoints"
checkpoints.mkdir(parents=True, exist_ok=True)
with (run / "calls").open("a") as calls:
    calls.write(json.dumps(given) + "\\n")
steps = [int(p.stem[5:]) for p in checkpoints.glob("*.index")]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
for step in range(max(steps, default=0) + 1, int(given["train.steps"]) + 1):
    time.sleep(0.05)
    (checkpoints / f"ckpt-{step}.index").touch()
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    monkeypatch.setattr(timed_training, "POLL_SECONDS", 0.02)
    # One second per checkpoint, however busy the machine is.
    monkeypatch.setattr(timed_training, "now", lambda: float(len(list(tmp_path.rglob("*.index")))))
    monkeypatch.setattr(timed_training, "python", replaced)
    monkeypatch.setattr(compare, "ROOT", folder)
    return folder


def replaced(code, name):
    return [sys.executable, str(code / "train.py")]


def calls(run_dir):
    return [json.loads(line) for line in (run_dir / "calls").read_text().splitlines()]


def test_a_run_trains_for_its_hours_and_cools_down(code, tmp_path):
    run_dir = tmp_path / "first"
    timed_training.train(run_dir, 20 / 3600, ["--model.width=4"], code)
    hot, cool = calls(run_dir)
    assert hot["train.schedule"] == "constant" and hot["model.width"] == "4"
    assert cool["train.schedule"] == "cosine"
    ledger = timed_training.Ledger(run_dir)
    assert ledger.done and ledger.seconds >= 17
    steps = timed_training.step_of(run_dir)
    assert steps == ledger.cooling_steps == int(cool["train.steps"])
    timed_training.train(run_dir, 20 / 3600, [], code)  # nothing is left to train
    assert len(calls(run_dir)) == 2


def test_a_later_phase_begins_from_the_run_before_it(code, tmp_path):
    timed_training.train(tmp_path / "second", 10 / 3600, [], code, after=tmp_path / "first")
    first, *others = calls(tmp_path / "second")
    assert first["train.init_from"] == str(tmp_path / "first")
    assert all("train.init_from" not in call for call in others)


def test_the_phases_of_a_model_share_the_time_of_the_others(code, tmp_path):
    wanted = compare.CompareConfig(out=str(tmp_path), study="paper_pusht", minutes=0.5)
    for name in ("prednet", "prednet_2", "vrnn"):
        compare.train(name, STUDIES["paper_pusht"], wanted)
    hours = {n: timed_training.Ledger(tmp_path / n).seconds for n in ("prednet", "prednet_2")}
    assert 17 <= hours["prednet"] <= 23 and 8.5 <= hours["prednet_2"] <= 13
    assert 25.5 <= timed_training.Ledger(tmp_path / "vrnn").seconds <= 33
    assert calls(tmp_path / "prednet_2")[0]["train.init_from"] == str(tmp_path / "prednet")
    assert "train.init_from" not in calls(tmp_path / "vrnn")[0]


def test_a_training_that_was_stopped_continues_and_keeps_its_hours(code, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path[:0] = [{str(ROOT / 'benchmarks')!r}]\n"
        "import signal, pathlib, timed_training\n"
        "timed_training.POLL_SECONDS = 0.05\n"
        "timed_training.python = lambda code, name: [sys.executable, str(code / 'train.py')]\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "timed_training.train(out / 'long', 100, [], out / 'code')\n"
    )
    hours = [0.0]
    for attempt in (1, 2):
        process = subprocess.Popen([sys.executable, str(program), str(tmp_path)])
        deadline = time.monotonic() + 60
        while (
            timed_training.step_of(tmp_path / "long") < 3 * attempt and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        hours.append(timed_training.Ledger(tmp_path / "long").hours)
    assert hours == sorted(set(hours))
    assert len(calls(tmp_path / "long")) == 2  # and the training ended with its caller
    before = timed_training.step_of(tmp_path / "long")
    time.sleep(0.4)
    assert timed_training.step_of(tmp_path / "long") == before


def test_a_failed_training_is_reported_with_its_log(code, tmp_path):
    (code / "train.py").write_text("import sys; sys.exit('no dataset')")  # no checkpoint, no time
    with pytest.raises(SystemExit, match=r"first failed: see .*first\.log"):
        timed_training.train(tmp_path / "first", 1, [], code)
    assert "no dataset" in (tmp_path / "first.log").read_text()
