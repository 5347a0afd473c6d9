import keras
import numpy as np
import pytest
from keras import ops

from tfvrnn.layers import PixelAdvection
from tfvrnn.layers.advection import STAY

NEVER = -1e4


def outputs_of(side, chosen, shape=(2, 6, 5, 3), pixels=0.0):
    """Make outputs that choose one place of the window, or 'new', for every pixel."""
    layer = PixelAdvection(side)
    outputs = np.full((*shape[:3], layer.outputs(shape[3])), NEVER, np.float32)
    outputs[..., 0 if chosen == "new" else 1 + chosen] = -NEVER
    outputs[..., 1 + side**2 :] = pixels
    return outputs


@pytest.fixture
def last(rng):
    return rng.uniform(size=(2, 6, 5, 3)).astype(np.float32)


@pytest.mark.parametrize("side", [1, 3, 5])
def test_every_place_of_the_window_moves_the_frame_by_its_distance(last, side):
    margin = side // 2
    around = np.pad(last, ((0, 0), (margin,) * 2, (margin,) * 2, (0, 0)), mode="symmetric")
    for place in range(side**2):
        down, right = divmod(place, side)
        expected = around[:, down : down + 6, right : right + 5]
        found = PixelAdvection(side)(last, outputs_of(side, place))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_new_pixels_are_sigmoids_of_their_logits(last, rng):
    logits = rng.normal(size=last.shape).astype(np.float32)
    found = PixelAdvection(3)(last, outputs_of(3, "new", pixels=logits))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=1e-6)


@pytest.mark.parametrize("side", [1, 3])
def test_against_the_equation(last, rng, side):
    layer, margin = PixelAdvection(side), side // 2
    outputs = rng.normal(scale=2.0, size=(2, 6, 5, layer.outputs(3))).astype(np.float32)
    scores = outputs[..., : 1 + side**2].astype(float)
    scores[..., 1 + side**2 // 2] += STAY
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = weights[..., :1] / (1 + np.exp(-outputs[..., 1 + side**2 :]))
    around = np.pad(last, ((0, 0), (margin,) * 2, (margin,) * 2, (0, 0)), mode="symmetric")
    for y in range(6):
        for x in range(5):
            window = around[:, y : y + side, x : x + side].reshape(2, side**2, 3)
            expected[:, y, x] += np.einsum("nk,nkc->nc", weights[:, y, x, 1:], window)
    np.testing.assert_allclose(layer(last, outputs), expected, atol=1e-6)


def test_most_of_a_pixel_stays_before_training(last):
    white = np.ones_like(last)
    black_logits = outputs_of(5, "new", pixels=NEVER)
    black_logits[..., :26] = 0.0
    share = (np.exp(STAY) + 24) / (np.exp(STAY) + 25)
    np.testing.assert_allclose(PixelAdvection(5)(white, black_logits), share, rtol=1e-5)


def test_outputs_in_half_precision_compose_in_float32(last, rng):
    outputs = ops.cast(rng.normal(size=(2, 6, 5, 13)), "bfloat16")
    found = PixelAdvection(3)(last, outputs)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, PixelAdvection(3)(last, ops.cast(outputs, "float32")))


@pytest.mark.parametrize("side", [0, -1, 2])
def test_a_window_without_a_centre_raises(side):
    with pytest.raises(ValueError, match=rf"odd and positive\. Received: {side}"):
        PixelAdvection(side)


def test_its_configuration_makes_it_again():
    layer = PixelAdvection.from_config(PixelAdvection(5, name="compose").get_config())
    assert (layer.side, layer.name, layer.compute_dtype) == (5, "compose", "float32")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_it_computes_in_float32_under_any_dtype(rng, dtype):
    last, outputs = rng.random((1, 4, 4, 1)), rng.normal(size=(1, 4, 4, 11))
    found = PixelAdvection(3, dtype=dtype)(last, outputs)
    expected = PixelAdvection(3)(np.float32(last), np.float32(outputs))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(found, expected, atol=0.05 if "16" in dtype else 1e-6)
