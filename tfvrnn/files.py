"""Files that are written whole or not at all, and folders that one process writes into."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tfvrnn.config import UserError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under another name and rename it: readers see the old one or the new one."""
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, activity: str) -> Iterator[None]:
    """Hold the lock file `path`; the file names its owner.

    The lock is the kernel's: it ends with the process, however that ended, and the next one takes
    the file over.

    Args:
        path: the lock file; it stays, unlocked, when the owner is done.
        activity: what the owner does, for the one that is refused: "training into runs/a".

    Raises:
        UserError: another process holds it.
    """
    # Not "w": what the owner wrote must still be there for the one that is refused.
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise UserError(f"{owner} is {activity}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
