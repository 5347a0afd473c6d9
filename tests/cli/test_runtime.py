"""Test the programs' shared runtime: they print anywhere, and check at once what they can write."""

import contextlib
import errno
import io
import os
import sys

import pytest

from tfvrnn.cli import runtime
from tfvrnn.config import UserError


@contextlib.contextmanager
def printing_into_a_pipe(monkeypatch, **options):
    """Make standard output a pipe that takes ASCII; yield its reading end."""
    reading, writing = os.pipe()
    with (
        monkeypatch.context() as patch,
        io.TextIOWrapper(os.fdopen(writing, "wb"), "ascii", **options) as stream,
        os.fdopen(reading, "rb") as end,
    ):
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", None)  # as in a program that has none
        runtime.print_anywhere()
        yield end
        sys.stdout.close()


def test_letters_that_the_terminal_does_not_have_are_numbers(monkeypatch):
    with printing_into_a_pipe(monkeypatch) as end:
        print("FVD ↓ é \udcff")
        sys.stdout.flush()
        assert end.readline() == b"FVD \\u2193 \\xe9 \xff\n"


def test_unbuffered_output_is_written_at_once(monkeypatch):
    """`python -u` and PYTHONUNBUFFERED=1 give streams that write through."""
    with printing_into_a_pipe(monkeypatch, write_through=True) as end:
        os.set_blocking(end.fileno(), False)
        print("waiting")
        assert end.readline() == b"waiting\n"


def test_what_nobody_reads_is_dropped(monkeypatch):
    with printing_into_a_pipe(monkeypatch) as end:
        end.close()
        for _ in range(2):
            print("x" * 100_000)
            sys.stdout.flush()


def test_what_cannot_be_written_is_reported_with_the_reason(tmp_path, monkeypatch):
    assert runtime.output(str(tmp_path / "a.gif")) == tmp_path / "a.gif"
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"cannot write .*: Is a directory"):
        runtime.output(tmp_path)
    (tmp_path / "link.gif").symlink_to("none/a.gif")
    with pytest.raises(UserError, match=r"no folder .*none to write a.gif into"):
        runtime.output(tmp_path / "link.gif")
    (tmp_path / "other.gif").symlink_to("film.bin")  # the format is that of the given name
    assert runtime.output(tmp_path / "other.gif") == tmp_path / "other.gif"

    def refuse(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(runtime.files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"cannot write .*a\.gif: Read-only file system"):
        runtime.output(tmp_path / "a.gif")


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENAMETOOLONG])
def test_what_the_file_system_refuses_is_one_line(monkeypatch, capsys, number):
    def refused(arguments):
        raise OSError(number, os.strerror(number), "some/file")

    monkeypatch.setattr(sys, "argv", ["sample.py"])
    with pytest.raises(SystemExit) as ended:
        runtime.run(refused, "")
    assert ended.value.code == runtime.USER_MISTAKE
    assert capsys.readouterr().err == f"error: {os.strerror(number)}: some/file\n"


def test_keras_computes_with_tensorflow_whatever_the_user_set(monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(sys, "argv", ["sample.py"])
    with pytest.raises(SystemExit):
        runtime.run(lambda _: None, "")
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_an_error_is_one_line_whatever_name_it_holds(capsys):
    def main(arguments):
        raise UserError("no video a\nb\rc")

    with pytest.raises(SystemExit) as stopped:
        runtime.run(main, "", arguments=[])
    assert stopped.value.code == runtime.USER_MISTAKE
    assert capsys.readouterr().err == "error: no video a\\nb\\rc\n"


def test_help_may_have_a_value(capsys):
    with pytest.raises(SystemExit) as stopped:
        runtime.run(print, "A program.", arguments=["--help=1"])
    assert stopped.value.code == 0 and "A program." in capsys.readouterr().out
