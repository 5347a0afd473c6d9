"""Shared parts of the tests of programs."""

from pathlib import Path

from tfvrnn.cli import runtime

ROOT = Path(__file__).parents[2]


def assert_refused(result, message):
    code, _, text = result
    assert code == runtime.USER_MISTAKE
    assert message in text and text.startswith("error: ") and text.count("\n") == 1
