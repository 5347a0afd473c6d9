"""Shared runtime of the programs: help, printing, and one-line errors."""

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from tfvrnn import backend, config_flags, files
from tfvrnn.config import Config, UserError, expanded

USER_MISTAKE = 2
OF_FILES = (  # errors of the file system
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EPIPE, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip
INTERRUPTED = 130  # 128 + SIGINT
STOPPED = 143  # 128 + SIGTERM: tells a scheduler that the program can be started again


def run(
    main: Callable[[list[str]], None],
    description: str,
    options: type = Config,
    arguments: list[str] | None = None,
    keras_backend: str = "tensorflow",
) -> NoReturn:
    """Run a program on arguments, by default those of the command line, and exit.

    `--help` prints the description and every flag of the dataclass `options`. A mistake of the
    user and an error of the file system print one line on standard error and exit with code 2.
    Ctrl-C prints one line and exits with code 130. A bug keeps its traceback. Keras computes with
    `keras_backend`.
    """
    print_anywhere()
    arguments = sys.argv[1:] if arguments is None else arguments
    flags = [a.lstrip("-").partition("=")[0] for a in arguments if a.startswith("-")]
    if not config_flags.HELP_FLAGS.isdisjoint(flags):
        print(f"{description.strip()}\n\n{config_flags.help_text(options)}")
        sys.exit(0)
    backend.quiet_tensorflow()
    backend.choose(keras_backend)
    try:
        main(arguments)
    except (UserError, config_flags.FlagError) as error:
        _print_error(str(error))
        sys.exit(USER_MISTAKE)
    except OSError as error:
        if error.errno not in OF_FILES:
            raise
        where = f": {error.filename}" if error.filename else ""
        _print_error(f"{error.strerror}{where}")
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _print_error(message: str) -> None:
    """Print a message in one line, whatever names it holds."""
    line = message.replace("\n", "\\n").replace("\r", "\\r")
    print(f"error: {line}", file=sys.stderr)


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Let Ctrl-C say that the same command continues, and exit with code 130."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped: the same command continues", file=sys.stderr)
        sys.exit(INTERRUPTED)


def announce_futures(count: int, horizon: int) -> None:
    """Print what is drawn, on standard error, as tracing a model is silent for a minute."""
    print(f"futures: {count} of {horizon} frames; first the model is traced", file=sys.stderr)


def output(path: str | Path) -> Path:
    """Check before a computation that its output file can be written, and return its path.

    Raises:
        UserError: no such folder, or no file can be written there.
    """
    path = expanded(path)
    file = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not file.parent.is_dir():
        raise UserError(f"no folder {file.parent} to write {file.name} into")
    try:
        if file.exists():
            file.open("r+b").close()
        else:
            files.check_writable(file.parent)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    return path


def print_anywhere() -> None:
    """Prevent a failed print from ending the program.

    A character that the terminal cannot encode is written as its number, and a name that is not
    text as its bytes. If the reader has gone, as with `| head`, the rest is dropped.
    """
    codecs.register_error("tfvrnn.print", _as_number_or_byte)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            raw = _Droppable(stream.fileno(), "w", closefd=False)
        except (AttributeError, ValueError, OSError):  # missing, closed, or not a file
            continue
        stream.flush()
        # Python's unbuffered streams (`python -u`) write through, but only into this buffer.
        lines = stream.line_buffering or stream.write_through
        buffer = io.BufferedWriter(raw)
        again = io.TextIOWrapper(buffer, stream.encoding, "tfvrnn.print", line_buffering=lines)
        setattr(sys, name, again)


def _as_number_or_byte(error: UnicodeError):
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


class _Droppable(io.FileIO):
    def write(self, content) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            return len(content)
