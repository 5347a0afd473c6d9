"""Check the frames that `fit` and `evaluate` get from arrays, datasets, loaders or generators."""

import copy
from collections.abc import Callable, Iterable, Iterator
from types import GeneratorType
from typing import Any

import keras

from tfvrnn.sampling import arguments

NO_LABELS = "`fit` and `evaluate` take frames only. Received: labels or weights"


def check_batch_size(batch_size: int | None) -> None:
    """Raise ValueError for a batch size below 1, which Keras would replace by its default."""
    if batch_size is not None:
        arguments.at_least_1("batch_size", batch_size)


def checked(data: Any, check: Callable[[Any], None]) -> Any:
    """Check the frames of data, at once or when a batch is drawn, and return data for Keras.

    All frames of an array are checked here, the element spec of a `tf.data.Dataset`, and the first
    batch of a `keras.utils.PyDataset`. These are returned as they are. A PyTorch `DataLoader` and a
    generator are wrapped, and each batch is checked when it is drawn. A batch is a tensor or a
    tuple of one. The wrapper yields tuples, as Keras would take a tensor apart.

    Args:
        data: same as the `x` of `keras.Model.fit`.
        check: raises ValueError unless its argument fits.

    Raises:
        ValueError: frames that do not fit, labels or weights.
    """
    if hasattr(data, "element_spec"):  # a tf.data.Dataset
        check(_frames_of(data.element_spec))
    elif isinstance(data, keras.utils.PyDataset):
        check(_frames_of(data[0]))
    elif isinstance(data, GeneratorType):
        return _in_tuples(data, check)
    elif hasattr(data, "dataset") and hasattr(data, "collate_fn"):  # a PyTorch DataLoader
        return _loader_of_tuples(data, check)
    else:
        check(data)
    return data


def check_no_labels(*given: Any) -> None:
    """Raise ValueError unless all are None."""
    if any(part is not None for part in given):
        raise ValueError(NO_LABELS)


def _frames_of(batch):
    frames, *others = keras.utils.unpack_x_y_sample_weight(batch)
    check_no_labels(*others)
    return frames


def _in_tuples(batches: Iterable, check) -> Iterator[tuple]:
    for batch in batches:
        frames = _frames_of(batch)
        check(frames)
        yield (frames,)


def _loader_of_tuples(loader, check):
    """Copy a loader so that the copy checks its batches. The user's own stays unchanged."""
    if getattr(loader, "gives_checked_tuples", False):
        return loader

    class Checked(type(loader)):
        # Keras takes only a DataLoader, so this class derives from the user's own.
        gives_checked_tuples = True

        def __iter__(self):
            return _in_tuples(super().__iter__(), check)

    wrapped = copy.copy(loader)
    wrapped.__class__ = Checked
    return wrapped
