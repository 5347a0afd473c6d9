"""The checks of what is asked of a sampler, the same on every backend."""

import math
import operator
from types import SimpleNamespace
from typing import Any, Protocol

from keras.backend import standardize_dtype


class Predictor(Protocol):
    """What a sampler needs of a model: see `tfvrnn.models.VideoPredictor`.

    `rollouts` holds the compiled functions that samplers made of the model.
    """

    context_frames: int
    image_shape: tuple[int, int, int]
    rollouts: SimpleNamespace

    def noise_shapes(self, batch: int, steps: int) -> list[tuple[int, ...]]: ...

    def begin(self, context, noise=None) -> Any: ...

    def step(self, state, noise, mean: bool = False) -> tuple[Any, Any]: ...


def frame_count(horizon) -> int:
    """Frames as an int: of a Python or NumPy integer, or a tensor of one."""
    try:
        count = 0 if isinstance(horizon, bool) else operator.index(horizon)
    except TypeError:
        count = 0
    if count < 1:
        raise ValueError(f"`horizon` must be an integer, at least 1. Received: {horizon!r}")
    return count


def check(model: Predictor, context, seeds, mean: bool, temperature: float) -> None:
    """Raise ValueError unless these arrays fit the model and each other."""
    expected, shape = (model.context_frames, *model.image_shape), tuple(context.shape)
    if len(shape) != 5 or shape[1:] != expected:
        wanted = ", ".join(map(str, expected))
        raise ValueError(f"`context` must be [B, {wanted}]. Received: shape {shape}")
    if shape[0] == 0:
        raise ValueError(f"`context` must have a row. Received: shape {shape}")
    dtype = standardize_dtype(context.dtype)
    if "float" not in dtype and dtype != "uint8":
        raise ValueError(f"`context` must be float or uint8. Received: {dtype}")
    if not mean:
        _check_seeds(seeds, rows=shape[0])
    if not 0.0 <= temperature < math.inf:
        raise ValueError(f"`temperature` must be at least 0. Received: {temperature}")


def _check_seeds(seeds, rows):
    if seeds is None:
        raise ValueError("`seeds` must be given, or `mean` be true. Received: None")
    shape = tuple(seeds.shape)
    if len(shape) not in (1, 2) or shape[0] != rows:
        raise ValueError(f"`seeds` must be [B] or [B, S] with B = {rows}. Received: shape {shape}")
    if 0 in shape:
        raise ValueError(f"`seeds` must not be empty. Received: shape {shape}")
    dtype = standardize_dtype(seeds.dtype)
    if "int" not in dtype:
        raise ValueError(f"`seeds` must be integers. Received: {dtype}")
