"""Presets: folders that hold a model, its weights and its card.

    config.json   the model's class and constructor arguments, as Keras serialises them
    weights.npz   the weights by their place in `model.weights`; `step`: steps of training
    README.md     the model card

A preset that `runs.keep_weights` made from a run also has the run's config.flags. It may have
clips.npz: `frames`, uint8 `[N, T, H, W, C]`, test videos for `tfvrnn sample` where the dataset is
not prepared.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfvrnn import files
from tfvrnn.config import UserError, expanded

FOLDER = Path(__file__).parent / "pretrained"
SHIPPED = {
    "smmnist": "One moving digit, 32x32x1; 3 frames given, trained to predict 7.",
    "smmnist64": "Two moving digits, 64x64x1; 5 frames given, trained to predict 10.",
    "pusht": "A simulated disc that pushes a T, 64x64x3; 2 given, trained to predict 18.",
    "sim_push": "A simulated arm that pushes objects, 64x64x3; 2 given, trained to predict 10.",
}
NAMES = tuple(SHIPPED)
HUB = "hf://"
FILES = ("config.json", "config.flags", "weights.npz", "clips.npz", "README.md")
CARD = """---
library_name: tfvrnn
tags: [video-prediction, keras]
---

# {family}

Continues videos of {shape} pixels from {context} given frames. {parameters:,} parameters.

```python
import tfvrnn

model = tfvrnn.VideoPredictor.from_preset("FOLDER")
futures = model.generate(context, horizon=20, seeds=[[1, 2, 3]])  # context: [1, {context}, ...]
```

Describe here: the data, the training command, the results, the licence and the limits.
"""


class Preset(NamedTuple):
    """The content of a preset.

    Attributes:
        config: of the model.
        weights: float arrays in the order of `model.weights`.
        step: int, steps of training.
    """

    config: dict[str, Any]
    weights: list[np.ndarray]
    step: int


def find(name: str | Path) -> Path:
    """Find the folder of a preset.

    Args:
        name: a model that comes with the package, a folder, or `hf://owner/name`. The package
            huggingface_hub downloads the latter and keeps it in its cache.

    Raises:
        UserError: no preset of that name, or it cannot be downloaded.
    """
    if name in SHIPPED or (str(name) in SHIPPED and not Path(name).is_dir()):
        return FOLDER / str(name)
    if str(name).startswith("hf:/"):  # a Path has only one slash
        return _download(str(name).removeprefix("hf:/").lstrip("/"))
    folder = expanded(name)
    if not str(name) or not folder.is_dir():
        keras_file = "; keras.saving.load_model reads .keras files"
        raise UserError(
            f"no preset {str(name)!r}: it is neither a folder, nor {HUB}owner/name, "
            f"nor one of {', '.join(NAMES)}{keras_file if folder.suffix == '.keras' else ''}"
        )
    return folder


def _download(repository: str) -> Path:
    try:
        import huggingface_hub  # pyright: ignore[reportMissingImports]  (an extra)
    except ImportError:
        raise UserError(
            f'{HUB}{repository} needs the package huggingface_hub: pip install "tfvrnn[hub]"'
        ) from None
    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(FILES)))
    # Its errors derive from these: no such repository, no network, not a valid name.
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{HUB}{repository} cannot be downloaded: {reason}") from None


def read(folder: Path) -> Preset:
    """Read a preset without executing anything in it.

    Raises:
        UserError: a file is missing, damaged, or not part of a preset.
    """
    try:
        config = files.read_json(folder / "config.json")
        if not isinstance(config, dict):
            raise ValueError("config.json holds no model")
        return Preset(config, *read_weights(folder / "weights.npz"))
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        hint = (
            "; it is a run: load it with tfvrnn.load_run"
            if (folder / "config.flags").is_file()
            else ""
        )
        raise UserError(f"{folder} holds no preset: it has no {missing}{hint}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} holds no preset: {_one_line(error)}") from None


def read_weights(path: Path) -> tuple[list[np.ndarray], int]:
    """Read weights as float32, and their training step.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: the file is damaged, or holds no weights, or weights that are not finite.
    """
    arrays = files.read_arrays(path)
    try:
        step = int(arrays.pop("step"))
        weights = [arrays[str(k)] for k in range(len(arrays))]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no weights: {_one_line(error)}") from None
    if not all(weight.dtype.kind in "fiu" and np.all(np.isfinite(weight)) for weight in weights):
        raise ValueError(f"{path} must hold finite numbers")
    return [weight.astype(np.float32) for weight in weights], step


def read_clips(folder: Path) -> np.ndarray:
    """Read the test videos of a preset, uint8 `[N, T, H, W, C]`; N = 0 if it has none.

    Raises:
        UserError: the file is damaged, or holds no such videos.
    """
    path = folder / "clips.npz"
    if not path.is_file():
        return np.zeros((0, 0, 0, 0, 0), np.uint8)
    try:
        frames = files.read_arrays(path)["frames"]
        if frames.ndim != 5 or frames.dtype != np.uint8:
            raise ValueError(f"{frames.dtype} {frames.shape}")
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} holds no videos: {_one_line(error)}") from None
    return frames


def write(
    folder: Path,
    config: dict[str, Any],
    weights: list[np.ndarray],
    card: str = "",
    default_card: str = "",
    step: int = 0,
    dtype: str = "float32",
) -> None:
    """Write a preset, file by file, each whole or not at all.

    Removes the configuration and the clips of a run that was kept in the folder before.

    Args:
        folder: created if it is missing.
        config: of the model, as Keras serialises it.
        weights: in the order of `model.weights`.
        card: text of README.md.
        default_card: text of README.md if `card` is empty and the folder has no README.md.
        step: steps of training.
        dtype: of the weights in the file, 'float32' or 'float16'.

    Raises:
        ValueError: another dtype, weights beyond float16, or the folder is that of a run with
            checkpoints.
        OSError: the preset cannot be written.
    """
    if (folder / "checkpoints").is_dir():
        raise UserError(f"{folder} is the folder of a run. A preset needs a folder of its own.")
    if dtype not in ("float32", "float16"):
        raise ValueError(f"`dtype` must be float32 or float16. Received: {dtype!r}")
    if dtype == "float16" and not fit_float16(weights):
        raise ValueError("`dtype` must be float32 for weights beyond 65504. Received: 'float16'")
    folder.mkdir(parents=True, exist_ok=True)
    files.write_whole(folder / "config.json", json.dumps(config, indent=2) + "\n")
    arrays = {str(k): weight.astype(dtype) for k, weight in enumerate(weights)}
    arrays = {"step": np.asarray(step, np.int64), **arrays}
    files.write_arrays(folder / "weights.npz", arrays, compressed=True)
    for name in ("config.flags", "clips.npz"):
        (folder / name).unlink(missing_ok=True)
    if card or not (folder / "README.md").is_file():
        files.write_whole(folder / "README.md", card or default_card)


def fit_float16(weights: list[np.ndarray]) -> bool:
    """Return whether all weights lie within the range of float16."""
    return not any(np.any(np.abs(weight) > np.finfo("float16").max) for weight in weights)


def _one_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
