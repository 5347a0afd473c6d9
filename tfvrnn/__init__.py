"""Stochastic video prediction with Keras.

`import tfvrnn` is light: the names below are imported when they are first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "tfvrnn.config": (
        "Config",
        "DataConfig",
        "EvalConfig",
        "ModelConfig",
        "TrainConfig",
        "UserError",
    ),
    "tfvrnn.data": ("make_dataset",),
    "tfvrnn.models": ("SVG", "VRNN", "CopyLast", "PredNet", "VideoPredictor", "build_model"),
    "tfvrnn.runs": ("keep_weights", "load_pretrained", "load_run"),
    "tfvrnn.sampling": ("sample_videos",),
    "tfvrnn.serving": ("export_sampler",),
    "tfvrnn.training": ("train",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    try:
        home = _HOME_OF[name]
    except KeyError:
        raise AttributeError(f"module 'tfvrnn' has no attribute {name!r}") from None
    return getattr(importlib.import_module(f"tfvrnn.{home}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
