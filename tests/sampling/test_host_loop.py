"""Test the noise of JAX and PyTorch; tests/test_backends.py runs the loop."""

import numpy as np
import pytest

from tfvrnn.config import ModelConfig
from tfvrnn.models import build_model
from tfvrnn.sampling import host_loop


@pytest.fixture(scope="module")
def model():
    return build_model(
        ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1, 4))
    )


def test_the_noise_is_that_of_philox_by_seed_time_and_level(model):
    noise = host_loop.row_noise(model, np.array([5, -1]), 3)
    assert [z.shape for z in noise] == [(2, 1, 1, 8), (2, 4, 4, 8)]
    assert all(z.dtype == np.float32 for z in noise)
    for level, drawn in enumerate(noise):
        for row, key in enumerate([5, 2**64 - 1]):  # keys have 128 bits
            philox = np.random.Philox(counter=[0, 0, level, 3], key=key)
            expected = np.random.Generator(philox).standard_normal(drawn.shape[1:], np.float32)
            np.testing.assert_array_equal(drawn[row], expected)


def test_no_two_of_seed_time_and_level_share_their_noise(model):
    drawn = [
        level[0].ravel()[:8]
        for seed in (0, 1, 2**32)
        for time in (0, 1, 2**20)
        for level in host_loop.row_noise(model, [seed], time)
    ]
    assert len({value.tobytes() for value in drawn}) == len(drawn) == 18
    many = np.ravel(host_loop.row_noise(model, range(100), 0)[1])
    assert abs(many.mean()) < 0.05 and abs(many.std() - 1) < 0.05
