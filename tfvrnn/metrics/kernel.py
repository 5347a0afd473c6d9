"""The kernel distance between many features, in bounded memory."""

import numpy as np
from numpy.typing import ArrayLike

from tfvrnn.metrics.frechet import check_pair

BLOCK = 2_048


def blockwise_kernel_distance(real: ArrayLike, generated: ArrayLike, block: int = BLOCK) -> float:
    """Compute `kernel_distance` over all pairs, with `block` rows of the kernel at a time.

    Args:
        real, generated: same as for `kernel_distance`.
        block: rows and columns that are held in memory.

    Raises:
        ValueError: same as `kernel_distance`, or a block below 1.
    """
    if block < 1:
        raise ValueError(f"`block` must be at least 1. Received: {block}")
    real, generated = check_pair(real, generated)
    within = [_sum(x, x, block) - np.sum(_kernel_of_itself(x)) for x in (real, generated)]
    pairs = [len(x) * (len(x) - 1) for x in (real, generated)]
    across = _sum(real, generated, block) / (len(real) * len(generated))
    return float(within[0] / pairs[0] + within[1] / pairs[1] - 2 * across)


def _sum(x: np.ndarray, y: np.ndarray, block: int) -> float:
    """Sum the kernel over all pairs."""
    parts = [
        np.sum(_kernel(x[i : i + block] @ y[j : j + block].T, x.shape[1]))
        for i in range(0, len(x), block)
        for j in range(0, len(y), block)
    ]
    return float(np.sum(parts))


def _kernel_of_itself(x: np.ndarray) -> np.ndarray:
    return _kernel(np.einsum("nd,nd->n", x, x), x.shape[1])


def _kernel(products: np.ndarray, dimensions: int) -> np.ndarray:
    base = products / dimensions + 1
    return base * base * base
