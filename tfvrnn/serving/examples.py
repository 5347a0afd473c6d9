"""Example clips of a served model."""

import contextlib
import dataclasses
import functools
import itertools
from typing import Any

import numpy as np

from tfvrnn import config_flags
from tfvrnn.config import Config, UserError
from tfvrnn.data import first_videos
from tfvrnn.serving.in_memory import LONGEST
from tfvrnn.serving.servable import AnyServable

COUNT = 4


def of(servable: AnyServable) -> np.ndarray:
    """Return the clips to predict: those of a preset, else the first videos of its test split.

    Returns:
        uint8 `[N, T, H, W, C]`, see `of_card`.
    """
    return servable.clips if len(servable.clips) else of_card(servable.card)


def of_card(card: dict[str, Any]) -> np.ndarray:
    """Read the first test clips of the dataset that a model card names.

    Returns:
        uint8 `[N, T, H, W, C]`. N = 0 if the card has no configuration that this version knows, or
        its dataset is not on this machine. Moving digits are drawn on the fly.
    """
    try:
        return _clips(config_flags.build(Config, card["configuration"]))
    except (KeyError, TypeError, UserError, OSError):
        return np.zeros((0, 0, 0, 0, 0), np.uint8)


@functools.lru_cache(maxsize=1)
def _clips(config: Config) -> np.ndarray:
    """Read up to COUNT clips with the longest horizon, or that of training if none is that long."""
    data = dataclasses.replace(config.data, digit_source="packaged")  # the other is downloaded
    longest = dataclasses.replace(data, horizon=LONGEST)
    for wanted, count in itertools.product((longest, data), range(COUNT, 0, -1)):
        with contextlib.suppress(UserError):
            return first_videos(wanted, config.model, "test", count)
    raise UserError("no clips")
