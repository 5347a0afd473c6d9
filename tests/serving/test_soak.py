"""Run benchmarks/soak.py in short: an overloaded server answers correctly or refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_twice_the_sustainable_rate_hanging_clients_and_a_new_version():
    command = [sys.executable, str(PROGRAM), "--seconds=30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["alive"] and report["wrong"] == 0 and report["answered"] > 100
    assert report["versions"] == [1, 2]
    assert report["mb_last_quarter"] < 1.5 * report["mb_first_quarter"]
