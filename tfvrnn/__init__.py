"""Stochastic video prediction with Keras.

`import tfvrnn` is light: the names below are imported when they are first used.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_HOME_OF = {
    "Config": "config",
    "CopyLast": "models",
    "DataConfig": "config",
    "EvalConfig": "config",
    "ModelConfig": "config",
    "PredNet": "models",
    "SVG": "models",
    "TrainConfig": "config",
    "UserError": "config",
    "VRNN": "models",
    "VideoPredictor": "models",
    "build_model": "models",
    "export_sampler": "serving",
    "keep_weights": "runs",
    "load_pretrained": "runs",
    "load_run": "runs",
    "make_dataset": "data",
    "sample_videos": "sampling",
    "train": "training",
}

# A type checker cannot read this, as it is not a list of literals.
__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME_OF[name]
    except KeyError:
        raise AttributeError(f"module 'tfvrnn' has no attribute {name!r}") from None
    return getattr(importlib.import_module(f"tfvrnn.{home}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
