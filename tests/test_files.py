import os
import subprocess
import sys

import pytest

from tfvrnn.config import UserError
from tfvrnn.files import locked, write_whole

HOLD = """
import pathlib, sys
from tfvrnn.files import locked
with locked(pathlib.Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_refused_and_told_the_owner(owner, tmp_path):
    named = rf"process {owner.pid} on \S+ is training into x"
    with pytest.raises(UserError, match=named), locked(tmp_path / "lock", "training into x"):
        pass


def test_a_dead_owners_lock_is_taken_over(owner, tmp_path):
    owner.kill()
    owner.wait()
    with locked(tmp_path / "lock", "training"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_lock_is_free_again_afterwards(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "lock", "training"):
            pass


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "x"
    write_whole(path, "old")
    with pytest.raises(TypeError):
        write_whole(path, 7)
    assert path.read_text() == "old"
    write_whole(path, b"new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
