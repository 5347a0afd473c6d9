"""Preparing any dataset, in one way."""

import importlib
import inspect
from typing import Any

from tfvrnn.data.tfrecord_writer import Prepared


def prepare(dataset: str, options: dict[str, Any]) -> Prepared:
    """Prepare a dataset with those of the options that it takes.

    Raises:
        UserError: see the dataset's own `prepare`.
    """
    own = importlib.import_module(f"tfvrnn.data.{dataset}").prepare
    taken = inspect.signature(own).parameters
    return own(**{name: value for name, value in options.items() if name in taken})
