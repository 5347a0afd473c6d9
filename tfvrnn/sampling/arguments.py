"""Checks of frames and of a sampler's arguments, the same on every backend."""

import math
import operator
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from keras import ops
from keras.backend import standardize_dtype

from tfvrnn.tensor_ops import Shape, Tensor

ROUNDING = 1e-3  # by how much a float pixel may lie outside of [0, 1]


class Predictor(Protocol):
    """The part of a model's interface that samplers need; see `tfvrnn.models.VideoPredictor`.

    `rollouts` holds the functions that samplers compiled from the model.
    """

    context_frames: int
    image_shape: tuple[int, int, int]
    rollouts: SimpleNamespace

    def noise_shapes(self, batch: int | Tensor, steps: int) -> list[tuple[int, ...]]: ...

    def begin(self, context: Tensor, noise: Sequence[Tensor] | None = None) -> Any: ...

    def step(
        self, state: Any, noise: Sequence[Tensor] | None, mean: bool = False
    ) -> tuple[Any, Tensor]: ...


def as_array(frames: Any) -> Tensor:
    """Convert a list of arrays to one array of their dtype. Return arrays as they are.

    Raises:
        ValueError: no array, list or tuple, or videos of different shapes.
    """
    if hasattr(frames, "shape"):
        return frames
    if not isinstance(frames, (list, tuple)):
        raise ValueError(f"Videos must be an array. Received: a {type(frames).__name__}")
    if any(map(ops.is_tensor, frames)):
        return ops.stack(frames)
    try:
        return np.asarray(frames)
    except ValueError:
        raise ValueError("Videos in a list must have equal shapes, see np.stack.") from None


def at_least_1(name: str, value: Any) -> int:
    """Convert a Python, NumPy or tensor integer to an int; raise ValueError unless it is one."""
    try:
        count = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise ValueError(f"`{name}` must be an integer, at least 1. Received: {value!r}")
    return count


def check_seed(seed: Any) -> None:
    """Raise ValueError unless a first seed is an integer from which further ones can be counted."""
    try:
        known = not isinstance(seed, bool) and abs(operator.index(seed)) < 2**62
    except TypeError:
        known = False
    if not known:
        raise ValueError(f"`seed` must be an integer within 2**62. Received: {seed!r}")


def check(model: Predictor, context: Tensor, seeds: Tensor, mean: bool, temperature: float) -> None:
    """Raise ValueError unless these arrays fit the model and each other."""
    check_context(model, context)
    if not mean:
        _check_seeds(seeds, rows=context.shape[0])
    check_temperature(temperature)


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless a temperature is finite and at least 0."""
    try:
        known = not isinstance(temperature, str) and 0.0 <= float(temperature) < math.inf
    except (TypeError, ValueError):
        known = False
    if not known:
        raise ValueError(f"`temperature` must be at least 0. Received: {temperature!r}")


def check_context(model: Predictor, context: Tensor) -> None:
    """Raise ValueError unless `context` is `[B, n_ctx, H, W, C]`, float or uint8.

    Floats of a NumPy array must lie in [0, 1]. Values of other arrays are not read.
    """
    count = model.context_frames
    shape, sides = _shape(context), model.image_shape
    if len(shape) != 5 or shape[1:] != (count, *sides):
        near = _near(context, sides)
        if not near and shape[1:2] > (count,):
            near = f"; the model sees {count} frames: context[:, :{count}]"
        wanted = ", ".join(map(str, (count, *sides)))
        raise ValueError(f"`context` must be [B, {wanted}]. Received: {_told(context)}{near}")
    _check_rows_and_values("context", context)


def check_frames(model: Predictor, frames: Any) -> None:
    """Raise ValueError unless `frames` are `[B, T, H, W, C]` with T > n_ctx, float or uint8.

    B may be unknown, None. Floats of a NumPy array must lie in [0, 1]. Values of other arrays are
    not read.
    """
    count = model.context_frames
    shape, sides = _shape(frames), model.image_shape
    if len(shape) != 5 or shape[2:] != sides or shape[1] is None or shape[1] <= count:
        near = _near(frames, sides)
        near = near or f"; the first {count} are the context, so T must be at least {count + 1}"
        wanted = ", ".join(map(str, sides))
        raise ValueError(
            f"`frames` must be [B, T, {wanted}] with T > {count}. Received: {_told(frames)}{near}"
        )
    _check_rows_and_values("frames", frames)


def _shape(array) -> Shape:
    """Return the shape, or () if `array` is not an array or its rank is unknown."""
    shape = getattr(array, "shape", ())
    return () if getattr(shape, "rank", 0) is None else tuple(shape)


def _dtype(array) -> str:
    """Return the name of the dtype of any library's array."""
    return str(getattr(array.dtype, "name", array.dtype)).removeprefix("torch.")


def _told(array) -> str:
    if not hasattr(array, "shape"):
        return f"a {type(array).__name__}"
    return f"shape {_shape(array) or 'unknown'}"


def _near(array, sides) -> str:
    """Suggest how to correct a wrong shape, as the end of a message; '' if that is unknown."""
    shape = _shape(array)
    if isinstance(array, list):
        return "; stack videos of equal shape by np.stack"
    height, width, channels = sides
    if len(shape) == 4 and shape[1:] == sides:
        return "; make one video a batch by x[None]"
    if len(shape) == 4 and shape[2:] == (height, width) and channels == 1:
        return "; give grey frames their last axis by x[..., None]"
    if len(shape) != 5:
        return "; the axes are video, time, height, width, channel"
    if None in shape[1:]:
        return "; all lengths but the first must be known, see tf.ensure_shape"
    if shape[2:] == (channels, height, width) or shape[2] == channels != shape[4]:
        return "; move the channels to the last axis by np.moveaxis(x, 2, -1)"
    if shape[4] != channels:
        return f"; the model has {channels} channel{'s' * (channels > 1)}: ModelConfig.channels"
    if shape[2:4] != (height, width):
        return f"; resize the frames to {height}x{width}, or see ModelConfig.image_size"
    return ""


def _check_rows_and_values(name, array):
    if array.shape[0] == 0:
        raise ValueError(f"`{name}` must have at least one row. Received: {_told(array)}")
    dtype = _dtype(array)
    if "float" not in dtype and dtype != "uint8":
        hint = "x.astype('uint8'), if they are 0 to 255"
        if dtype == "bool":
            hint = "x.astype('float32')"
        raise ValueError(f"`{name}` must be float or uint8. Received: {dtype}; {hint}")
    check_range(name, array)


def check_range(name: str, array: Any) -> None:
    """Raise ValueError if a NumPy array of floats leaves [0, 1] or holds NaN."""
    if not isinstance(array, np.ndarray) or "float" not in array.dtype.name:
        return
    least, greatest = array.min(), array.max()
    if least >= -ROUNDING and greatest <= 1 + ROUNDING:
        return
    if least >= 0 and 2 < greatest <= 255:
        hint = "; divide by 255, or pass uint8"
    elif -1 - ROUNDING <= least < -0.5 and greatest <= 1 + ROUNDING:
        hint = "; from [-1, 1], convert by (x + 1) / 2"
    else:
        hint = "; see np.clip(x, 0, 1)" if greatest < least + 2 else ""
    raise ValueError(f"`{name}` must be in [0, 1]. Received: {least:.4g} to {greatest:.4g}{hint}")


def _check_seeds(seeds, rows):
    if seeds is None:
        raise ValueError("`seeds` must be given, or `mean` must be true. Received: None")
    shape = tuple(seeds.shape)
    if len(shape) not in (1, 2) or shape[0] != rows:
        raise ValueError(f"`seeds` must be [B] or [B, S] with B = {rows}. Received: shape {shape}")
    if 0 in shape:
        raise ValueError(f"`seeds` must not be empty. Received: shape {shape}")
    dtype = standardize_dtype(seeds.dtype)
    if "int" not in dtype:
        raise ValueError(f"`seeds` must be integers. Received: {dtype}")
