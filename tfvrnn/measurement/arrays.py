"""Arrays of videos in files, mapped into memory and never read whole."""

import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from tfvrnn import files
from tfvrnn.config import UserError

ENDINGS = (".npy", ".npz")
LOCAL_HEADER = 30  # bytes of a zip archive before the name of a member
RANKS = {5: "[N, T, H, W, C]", 6: "[N, S, T, H, W, C]"}


def open_array(path: Path, key: str, scratch: Path) -> np.ndarray:
    """Open the array of an .npy, or the named or only array of an .npz.

    Args:
        path: the file.
        key: name of the array in an .npz; '': its only one.
        scratch: folder for a copy of a compressed array. The copy vanishes with the array.

    Raises:
        UserError: no such file, no array in it, or several arrays and no name.
    """
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                return _mapped(file, 0)
        return _member(path, choose(path, key), scratch)
    except UserError:
        raise
    except files.DAMAGED_ARRAYS as error:
        raise UserError(f"{path} holds no array that can be read: {error}") from None


def names_in(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz.

    Raises:
        UserError: the file is not an .npz.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except files.DAMAGED_ARRAYS as error:
        raise UserError(f"{path} holds no array that can be read: {error}") from None
    return [name.removesuffix(".npy") for name in names]


def choose(path: Path, key: str) -> str:
    """Return `key`, or the name of the only array in an .npz."""
    names = names_in(path)
    known = ", ".join(names) or "none"
    if key and key not in names:
        raise UserError(f"{path} has no array {key}. Its arrays: {known}")
    if not key and len(names) != 1:
        raise UserError(
            f"{path} must hold one array, or --real_key or --generated_key must name one. "
            f"Received: {known}"
        )
    return key or names[0]


def _member(path: Path, name: str, scratch: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type == zipfile.ZIP_STORED:
            with path.open("rb") as file:
                file.seek(info.header_offset)
                header = file.read(LOCAL_HEADER)
                lengths = (int.from_bytes(header[k : k + 2], "little") for k in (26, 28))
                return _mapped(file, info.header_offset + LOCAL_HEADER + sum(lengths))
        with archive.open(info) as packed, tempfile.TemporaryFile(dir=scratch) as file:
            shutil.copyfileobj(packed, file)
            return _mapped(file, 0)


def _mapped(file, offset: int) -> np.ndarray:
    """Map the array that begins at an offset of an open file. The map outlives the file."""
    file.seek(offset)
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"version {version} of the .npy format is not supported")
    shape, fortran, dtype = read[version](file)
    if dtype.hasobject:
        raise ValueError("its array holds Python objects")
    order = "F" if fortran else "C"
    return np.memmap(file, dtype, "r", file.tell(), shape, order)


def check_videos(array: np.ndarray, source: str, samples: bool) -> None:
    """Raise UserError unless an array holds videos.

    Args:
        array: of any kind.
        source: its name, for the message.
        samples: whether it may hold several samples of each video, `[N, S, T, H, W, C]`.
    """
    if array.dtype != np.uint8:
        hint = "; for floats in [0, 1]: np.round(255 * x).astype(np.uint8)"
        hint *= array.dtype.kind == "f"
        raise UserError(f"{source} must be uint8, in 0 to 255. Received: {array.dtype}{hint}")
    ranks = RANKS if samples else {5: RANKS[5]}
    if array.ndim not in ranks or array.shape[-1] not in (1, 3) or 0 in array.shape:
        allowed = " or ".join(ranks.values())
        raise UserError(f"{source} must be {allowed}, C 1 or 3. Received: {array.shape}")
