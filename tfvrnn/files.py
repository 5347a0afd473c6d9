"""Files that are written whole or not at all, folders that one process writes into, any names."""

import contextlib
import errno
import fcntl
import io
import os
import re
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfvrnn.config import UserError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under another name and rename it: readers see the old one or the new one."""
    # A part of the name, as the whole one may be as long as the file system allows.
    partial = path.with_name(f".{path.name[:40]}-{os.getpid()}")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Raise the OSError that a new file in a folder would meet; makes nothing that stays."""
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "not a folder")
    with tempfile.TemporaryFile(dir=folder):
        pass


def write_arrays(path: Path, arrays: dict[str, np.ndarray], compressed: bool = False) -> None:
    """Write an .npz, whole or not at all."""
    content = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(content, **arrays)  # pyright: ignore[reportArgumentType]  (none is named allow_pickle)
    write_whole(path, content.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz; nothing in it is executed.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is damaged, or something else.
    """
    try:
        # Opened here, as NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no .npz: {error}") from None


@contextlib.contextmanager
def for_tensorflow(folder: Path) -> Iterator[str]:
    """Give an existing folder a name that TensorFlow does not misread, in this block.

    TensorFlow looks for checkpoints and SavedModels with patterns: it reads `lr[3e-3]` as a set of
    characters, and finds nothing on the disk. It also takes no name that is not UTF-8. Such a
    folder is opened here and named by the kernel's link to what is open, `/proc/self/fd/7`. That
    name is good in this process only, so it must not be written anywhere. A plain name stays as it
    is, and so does every name where the system has no such links.

    Single files need none of this: TensorFlow takes the bytes of their names (`os.fsencode`).

    Raises:
        OSError: no such folder, or it cannot be opened.
    """
    plain = re.fullmatch(r"[A-Za-z0-9_./-]*", str(folder))
    if plain or not Path("/proc/self/fd").is_dir():
        yield str(folder)
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)


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
    with contextlib.ExitStack() as stack:
        try:
            # Not "w": what the owner wrote must still be there for the one that is refused.
            file = stack.enter_context(path.open("a+b", buffering=0))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except BlockingIOError:
            file.seek(0)
            owner = file.read().decode().strip() or "another process"
            raise UserError(f"{owner} is {activity}") from None
        except OSError as error:
            raise UserError(f"{path} cannot be locked: {error.strerror}") from None
        yield
