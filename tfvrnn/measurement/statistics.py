"""Files of a side's features, with the protocol of their computation."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfvrnn import files
from tfvrnn.config import UserError
from tfvrnn.measurement.arrays import names_in

MARK = "tfvrnn_statistics"  # the array that holds the protocol, as text


@dataclass(frozen=True)
class Statistics:
    """Features of clips, and how they were computed.

    Attributes:
        features: float32 `[N, D]`.
        protocol: {'reading': how clips were read, 'choices': which clips, 'network': which
            network, 'side': which videos}.
    """

    features: np.ndarray
    protocol: dict


def is_statistics(path: Path) -> bool:
    """Return whether an .npz is a file of statistics."""
    return MARK in names_in(path)


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write a file of statistics, whole or not at all."""
    text = np.array(json.dumps(statistics.protocol))
    files.write_arrays(path, {MARK: text, "features": statistics.features})


def read_statistics(path: Path) -> Statistics:
    """Read what `write_statistics` wrote.

    Raises:
        UserError: it is damaged.
    """
    try:
        arrays = files.read_arrays(path)
        protocol, features = json.loads(str(arrays[MARK])), arrays["features"]
        if features.ndim != 2 or not np.isfinite(features).all():
            raise ValueError("its features are not finite")
        if not {"reading", "choices", "network", "side"} <= set(protocol):
            raise ValueError("it does not say how they were computed")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    return Statistics(features, protocol)
