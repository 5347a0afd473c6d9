"""Atomic writes, locks that name their owner, and names that TensorFlow does not misread."""

import contextlib
import errno
import fcntl
import io
import json
import os
import re
import socket
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfvrnn.config import UserError

DAMAGED_ARRAYS = (  # raised by NumPy and zipfile for damaged, encrypted and absurd files
    ValueError, TypeError, EOFError, LookupError, OverflowError, MemoryError, RuntimeError,
    SyntaxError, tokenize.TokenError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under another name, then rename it. Readers see the old file or the new one.

    A link stays, and its file is replaced.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    # Only a part of the name, as the whole name may have the greatest length allowed.
    partial = path.with_name(f".{path.name[:40]}-{os.getpid()}")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: the file is damaged, or nested too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None


def check_writable(folder: Path) -> None:
    """Raise the OSError that writing a file into a folder would raise. Leaves no file behind."""
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
    """Read the arrays of an .npz without executing anything in it.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: the file is damaged, or is not an .npz.
    """
    try:
        # Opened here, because NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = dict(arrays)
        strays = [name for name, array in found.items() if not isinstance(array, np.ndarray)]
        if strays:
            raise ValueError(f"{strays[0]} is not an array")
        return found
    except DAMAGED_ARRAYS as error:
        raise ValueError(f"{path} is not an .npz: {error}") from None


@contextlib.contextmanager
def for_tensorflow(folder: Path) -> Iterator[str]:
    """Yield a name of an existing folder that TensorFlow does not misread, within this block.

    TensorFlow looks for checkpoints and SavedModels with patterns. It reads `lr[3e-3]` as a set of
    characters, and finds nothing on the disk. It also rejects names that are not UTF-8. This
    function opens such a folder and names it by the kernel's link to the open folder,
    `/proc/self/fd/7`. That name is valid only in this process, so it must not be written anywhere.
    A plain name stays as it is. So does every name on a system without such links.

    Single files do not need this: TensorFlow takes the bytes of their names (`os.fsencode`).

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
    """Hold the lock file `path`, which names its owner.

    The kernel releases the lock when the process ends, however it ends. The next process then
    takes over the file.

    Args:
        path: the lock file. It stays, unlocked, when the owner is done.
        activity: what the owner does, for the message to a refused process:
            "training into runs/a".

    Raises:
        UserError: another process holds it, or the file cannot be locked.
    """
    with contextlib.ExitStack() as stack:
        try:
            # Not "w", which would erase the owner's name before a refused process can read it.
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
