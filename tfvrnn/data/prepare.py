"""Prepare any dataset through one function."""

import importlib
import inspect
from typing import Any

from tfvrnn.data.tfrecord_writer import Prepared


def prepare(dataset: str, options: dict[str, Any]) -> Prepared:
    """Prepare a dataset, passing only the options it accepts.

    Raises:
        UserError: see the dataset's own `prepare`.
    """
    own = importlib.import_module(f"tfvrnn.data.{dataset}").prepare
    taken = inspect.signature(own).parameters
    return own(**{name: value for name, value in options.items() if name in taken})
