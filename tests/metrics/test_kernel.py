import numpy as np
import pytest

from tfvrnn.metrics import blockwise_kernel_distance, kernel_distance


@pytest.mark.parametrize("block", [1, 4, 100])
def test_it_is_the_distance_over_all_pairs(rng, block):
    real, generated = rng.normal(size=(9, 5)), rng.normal(0.5, size=(13, 5))
    found = blockwise_kernel_distance(real, generated, block)
    np.testing.assert_allclose(found, kernel_distance(real, generated), rtol=1e-9)


def test_it_refuses_what_the_other_refuses():
    with pytest.raises(ValueError, match="must be finite"):
        blockwise_kernel_distance(np.zeros((3, 2)), np.full((3, 2), np.nan))


def test_a_block_has_rows(rng):
    with pytest.raises(ValueError, match="`block` must be at least 1"):
        blockwise_kernel_distance(rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), 0)
