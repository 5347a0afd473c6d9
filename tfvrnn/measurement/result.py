"""A measurement on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfvrnn import files
from tfvrnn.config import UserError
from tfvrnn.reporting.protocols import read_json

# The rows of `shown` if videos are not paired.
UNPAIRED = ("real", "generated")


@dataclass
class Measurement:
    """Figures with their protocol.

    Attributes:
        path: of the JSON.
        real, generated: locations of the sides.
        protocol: everything on which the figures depend.
        figures: by name, see `measurement.figures`.
        treatment: {side: what was done to its videos, see `measurement.treatment`}.
        notes: on the figures.
        shown: uint8 `[examples, rows, T, H, W, 3]`.
        rows: names of the rows of `shown`.
        names: of the pairs.
        values: {psnr, ssim, lpips: float `[pairs, samples, frames]`}.
    """

    path: Path
    real: str
    generated: str
    protocol: dict
    figures: dict
    treatment: dict
    notes: list[str]
    shown: np.ndarray
    rows: list[str]
    names: list[str]
    values: dict[str, np.ndarray]


FIELDS = ("real", "generated", "protocol", "figures", "treatment", "notes", "rows", "names")


def write_measurement(found: Measurement) -> None:
    """Write the JSON, and the arrays beside it, each whole or not at all."""
    content = {name: getattr(found, name) for name in FIELDS}
    arrays = {"shown": found.shown, **found.values}
    files.write_arrays(found.path.with_suffix(".npz"), arrays, compressed=True)
    text = json.dumps(content, indent=2, allow_nan=False)
    files.write_whole(found.path, (text + "\n").encode())


def read_measurement(path: str | Path) -> Measurement:
    """Read a measurement.

    Args:
        path: of the JSON.

    Raises:
        UserError: there is no measurement.
    """
    path = Path(path)
    content = read_json(path)
    try:
        arrays = files.read_arrays(path.with_suffix(".npz"))
        shown = arrays.pop("shown")
        return Measurement(path, shown=shown, values=arrays, **{n: content[n] for n in FIELDS})
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} holds no measurement: {error}") from None
