"""What the tests of the datasets share."""

import numpy as np


def all_of(dataset) -> np.ndarray:
    """All videos of a finite dataset of batches."""
    return np.concatenate(list(dataset.as_numpy_iterator()))
