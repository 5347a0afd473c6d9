"""Shared parts of the tests of the datasets."""

import numpy as np


def all_of(dataset) -> np.ndarray:
    """Concatenate all videos of a finite dataset of batches."""
    return np.concatenate(list(dataset.as_numpy_iterator()))
