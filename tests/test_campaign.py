"""benchmarks/campaign.py gives every run its hours, and continues where it was stopped."""

import json
import signal
import subprocess
import sys
import time

import pytest
from documents import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import campaign

sys.path.pop(0)

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
SHORT = {
    "first": campaign.Run(20 / 3600, ["--model.width=4"]),
    "second": campaign.Run(10 / 3600, [], after="first"),
}


@pytest.fixture
def code(tmp_path, monkeypatch):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    monkeypatch.setattr(campaign, "RUNS", SHORT)
    monkeypatch.setattr(campaign, "POLL_SECONDS", 0.02)
    # One second per checkpoint, however busy the machine is.
    monkeypatch.setattr(campaign, "now", lambda: float(len(list(tmp_path.rglob("*.index")))))
    monkeypatch.setattr(
        campaign, "python", lambda code, name: [sys.executable, str(code / "train.py")]
    )
    return folder


def calls(run_dir):
    return [json.loads(line) for line in (run_dir / "calls").read_text().splitlines()]


def test_a_run_trains_for_its_hours_and_cools_down(code, tmp_path):
    campaign.train("first", tmp_path, code, tmp_path / "data")
    hot, cool = calls(tmp_path / "first")
    assert hot["train.schedule"] == "constant" and hot["model.width"] == "4"
    assert cool["train.schedule"] == "cosine"
    ledger = campaign.Ledger(tmp_path / "first.json")
    assert ledger.done and ledger.seconds >= 17
    steps = campaign.step_of(tmp_path / "first")
    assert steps == ledger.cooling_steps == int(cool["train.steps"])
    campaign.train("first", tmp_path, code, tmp_path / "data")  # nothing is left to train
    assert len(calls(tmp_path / "first")) == 2


def test_a_later_phase_begins_from_the_run_before_it(code, tmp_path):
    campaign.train("second", tmp_path, code, tmp_path / "data")
    first, *others = calls(tmp_path / "second")
    assert first["train.init_from"] == str(tmp_path / "first")
    assert all("train.init_from" not in call for call in others)


def test_a_campaign_that_was_stopped_continues_and_keeps_its_hours(code, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path[:0] = [{str(ROOT / 'benchmarks')!r}]\n"
        "import signal, pathlib, campaign\n"
        "campaign.POLL_SECONDS = 0.05\n"
        "campaign.RUNS = {'long': campaign.Run(100, [])}\n"
        "campaign.python = lambda code, name: [sys.executable, str(code / 'train.py')]\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "campaign.train('long', out, out / 'code', out / 'data')\n"
    )
    hours = [0.0]
    for attempt in (1, 2):
        process = subprocess.Popen([sys.executable, str(program), str(tmp_path)])
        deadline = time.monotonic() + 60
        while campaign.step_of(tmp_path / "long") < 3 * attempt and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        hours.append(campaign.Ledger(tmp_path / "long.json").hours)
    assert hours == sorted(set(hours))
    assert len(calls(tmp_path / "long")) == 2  # and the training ended with the campaign
    before = campaign.step_of(tmp_path / "long")
    time.sleep(0.4)
    assert campaign.step_of(tmp_path / "long") == before


def test_a_failed_training_is_reported_with_its_log(code, tmp_path):
    (code / "train.py").write_text("import sys; sys.exit('no dataset')")  # no checkpoint, no time
    with pytest.raises(SystemExit, match=r"first failed: see .*first\.log"):
        campaign.train("first", tmp_path, code, tmp_path / "data")
    assert "no dataset" in (tmp_path / "first.log").read_text()


def test_a_run_that_has_not_begun_has_no_validation(tmp_path):
    assert campaign.validation_of(tmp_path / "pusht") == "-"


def test_every_run_has_a_configuration():
    from tfvrnn import config_flags
    from tfvrnn.config import Config

    for name in campaign.RUNS:
        arguments = campaign.options(name, ROOT / "nowhere", ROOT / "data", None)
        changes = config_flags.parse_changes(
            [a.replace("=configs/", f"={ROOT}/configs/") for a in arguments], Config
        )
        config_flags.build(Config, changes)
