"""Train one run for a given time, at the lowest priority, however often it is interrupted.

A run trains at a constant learning rate for 85 percent of its time. Then it cools down: its rate
falls to 0 over the number of steps that should fill the rest of its time. <run>.json, beside the
run folder, counts the seconds, the start of the program included. <run>.log has the output.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tfvrnn import files
from tfvrnn.cli import runtime

COOLING = 0.15  # last share of the time
POLL_SECONDS = 5.0
ENDLESS = 10_000_000  # steps


class Ledger:
    """The seconds and the phase of a run, in the JSON file beside its folder."""

    def __init__(self, run_dir: Path):
        self.path = run_dir.with_name(f"{run_dir.name}.json")
        read = json.loads(self.path.read_text("utf-8")) if self.path.is_file() else {}
        self.seconds: float = read.get("seconds", 0.0)
        self.cooling_steps: int | None = read.get("cooling_steps")  # of the run, once it cools
        self.done: bool = read.get("done", False)

    def save(self) -> None:
        kept = {k: v for k, v in vars(self).items() if k != "path"}
        files.write_whole(self.path, json.dumps(kept) + "\n")

    @property
    def hours(self) -> float:
        return self.seconds / 3600


def train(run_dir: Path, hours: float, options: list[str], code: Path, after: Path | None = None):
    """Train a run until its hours are used up and it has cooled down.

    Args:
        run_dir: run folder. The same call continues a run that was interrupted.
        hours: time of training.
        options: options of bin/train.py.
        code: checkout whose bin/train.py trains.
        after: run whose weights this one starts from.
    """
    ledger, hot = Ledger(run_dir), hours * 3600 * (1 - COOLING)
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    while not ledger.done:
        if ledger.cooling_steps is None and ledger.seconds >= hot:
            step = step_of(run_dir)
            ledger.cooling_steps = max(step + 1, round(step / (1 - COOLING)))
            ledger.save()
        until = hot if ledger.cooling_steps is None else float("inf")
        given = [*options, *phase(run_dir, ledger.cooling_steps, after)]
        _train_until(until, run_dir, ledger, [*python(code, "train.py"), *given], code)


def phase(run_dir: Path, cooling_steps: int | None, after: Path | None = None) -> list[str]:
    """List the options that a run needs in its first or its last phase."""
    found = [f"--train.run_dir={run_dir}"]
    if after and not run_dir.is_dir():
        found.append(f"--train.init_from={after}")
    if cooling_steps is None:
        return [*found, "--train.schedule=constant", f"--train.steps={ENDLESS}"]
    return [*found, "--train.schedule=cosine", f"--train.steps={cooling_steps}"]


def _train_until(until, run_dir, ledger, command, code) -> None:
    log_file = run_dir.with_name(f"{run_dir.name}.log")
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command, cwd=code, stdout=log, stderr=log, start_new_session=True
        )
    yield_to_others(process.pid)
    began, before = now(), ledger.seconds
    try:
        while process.poll() is None and ledger.seconds < until:
            time.sleep(POLL_SECONDS)
            ledger.seconds = before + now() - began
            ledger.save()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode == 0:
        ledger.done = True
    elif process.returncode not in (runtime.STOPPED, -signal.SIGTERM):
        sys.exit(f"{run_dir.name} failed: see {log_file}")
    ledger.save()


def now() -> float:
    """Return the seconds of a clock that only goes forward."""
    return time.monotonic()


def python(code: Path, name: str) -> list[str]:
    return ["nice", "-n", "19", sys.executable, str(code / "bin" / name)]


def yield_to_others(process: int) -> None:
    """Give a session of processes the lowest weight, if Linux divides the cores by sessions.

    In that case a nice value counts only among the processes of one session.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text("19")


def step_of(run_dir: Path) -> int:
    """Return the newest checkpoint's step; 0 if there is none."""
    names = [path.stem for path in (run_dir / "checkpoints").glob("ckpt-*.index")]
    return max((int(name.removeprefix("ckpt-")) for name in names), default=0)
