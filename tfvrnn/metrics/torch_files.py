"""Reads weights in PyTorch's files without PyTorch and without running anything in them."""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class WeightsFileError(ValueError):
    """A file that does not hold weights, or holds more than weights."""


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles only containers and the given names, and refuses anything else.

    Args:
        file: binary file.
        allowed: {(module, name): its replacement}.
    """

    def __init__(self, file: IO[bytes], allowed: dict[tuple[str, str], Any]):
        super().__init__(file, encoding="latin1")
        self.allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.allowed[module, name]
        except KeyError:
            raise WeightsFileError(f"it asks for {module}.{name}, not for arrays") from None


class _Storage:
    """A flat array of which tensors are views. In the older format, its values come last."""

    def __init__(self, dtype: str, values: np.ndarray | None = None):
        self.dtype = dtype
        self.values = values


class _View:
    """A tensor: a piece of a storage."""

    def __init__(self, storage, offset, shape, strides, *_):
        self.storage, self.offset = storage, offset
        self.shape, self.strides = tuple(shape), tuple(strides)

    def array(self) -> np.ndarray:
        values = self.storage.values
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if 0 in self.shape:
            return np.zeros(self.shape, values.dtype)
        if min(self.offset, *self.strides, 0) < 0 or last >= len(values):
            raise WeightsFileError("a tensor lies outside its storage")
        strides = [stride * values.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides)
        return view.copy()


class _StorageType:
    """Replaces torch.FloatStorage and similar names, which are never called."""

    def __init__(self, name: str):
        self.dtype = DTYPES[name]


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _View,
    ("torch._utils", "_rebuild_tensor_v2"): _View,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    **{("torch", name): _StorageType(name) for name in DTYPES},
}


class _StateUnpickler(ArrayUnpickler):
    def __init__(self, file, storage_of):
        super().__init__(file, ALLOWED)
        self.storage_of = storage_of

    def persistent_load(self, identifier):
        kind, storage_type, key, *_ = identifier
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise WeightsFileError(f"it holds a {kind}")
        return self.storage_of(storage_type.dtype, key)


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Read {name: array} of a file that `torch.save(module.state_dict(), path)` wrote.

    It reads both formats: the zip archive, and the one before PyTorch 1.6.

    Raises:
        WeightsFileError: the file is not of this kind, or has more than tensors in it.
        OSError: the file cannot be read.
    """
    path = Path(path)
    try:
        read = _read_zip if zipfile.is_zipfile(path) else _read_legacy
        state = read(path)
        return {str(name): view.array() for name, view in state.items()}
    except (pickle.UnpicklingError, EOFError, KeyError, IndexError, AttributeError) as error:
        raise WeightsFileError(f"{path} is not a PyTorch file of weights: {error}") from None
    except (TypeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsFileError(f"{path} is not a PyTorch file of weights: {error}") from None


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise WeightsFileError(f"{path} is a zip archive, but not one of weights")
        pickled = pickles[0]
        folder = pickled.removesuffix("data.pkl")

        def storage_of(dtype, key):
            return _Storage(dtype, np.frombuffer(archive.read(f"{folder}data/{key}"), dtype))

        return _StateUnpickler(io.BytesIO(archive.read(pickled)), storage_of).load()


def _read_legacy(path):
    storages = {}

    def storage_of(dtype, key):
        return storages.setdefault(key, _Storage(dtype))

    with path.open("rb") as file:
        if ArrayUnpickler(file, {}).load() != LEGACY_MAGIC:
            raise WeightsFileError("it does not begin as one")
        for _ in ("protocol version", "machine"):
            ArrayUnpickler(file, {}).load()
        state = _StateUnpickler(file, storage_of).load()
        for key in ArrayUnpickler(file, {}).load():
            size = int.from_bytes(file.read(8), "little")
            dtype = np.dtype(storages[key].dtype)
            values = np.frombuffer(file.read(size * dtype.itemsize), dtype)
            if len(values) != size:
                raise WeightsFileError("it is cut off")
            storages[key].values = values
    return state
