"""Run a short kill loop."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough


def test_two_kills_change_nothing():
    # PredNet's step is traced in a tenth of the time.
    model = ["--model.family=prednet", "--model.prednet_stacks=2,2,2"]
    command = [sys.executable, Path(__file__).parent / "kill_loop.py", "--kills=2", *model]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill 2: " in done.stdout and "equal to the last bit: True" in done.stdout
