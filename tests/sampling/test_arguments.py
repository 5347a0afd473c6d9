import numpy as np
import pytest
import tensorflow as tf

from tfvrnn import sampling
from tfvrnn.config import ModelConfig
from tfvrnn.models import build_model


@pytest.fixture(scope="module")
def model():
    return build_model(ModelConfig(family="copy_last", image_size=8, channels=1))


@pytest.fixture
def context(rng):
    return rng.integers(0, 256, size=(3, 2, 8, 8, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    "change,message",
    [
        (dict(context=np.zeros((3, 3, 8, 8, 1))), r"\[B, 2, 8, 8, 1\]. Received: shape \(3, 3"),
        (dict(context=np.zeros((2, 8, 8, 1))), r"`context` must be \[B, 2, 8, 8, 1\]"),
        (dict(seeds=[1, 2, 3, 4, 5, 6]), r"B = 3. Received: shape \(6,\)"),
        (dict(seeds=[[1, 2, 3], [4, 5, 6]]), r"B = 3. Received: shape \(2, 3\)"),
        (dict(seeds=None), "`seeds` must be given"),
        (
            dict(context=np.zeros((0, 2, 8, 8, 1), np.float32)),
            "`context` must have at least one row",
        ),
        (dict(context=np.zeros((3, 2, 8, 8, 1), np.int32)), "must be float or uint8"),
        (dict(context=np.zeros((3, 2, 8, 8, 1), bool)), r"Received: bool; x.astype\('float32'\)"),
        (dict(context=np.full((3, 2, 8, 8, 1), np.inf)), r"in \[0, 1\]. Received: inf to inf"),
        (dict(context=np.full((3, 2, 8, 8, 1), 255.0)), "Received: 255 to 255; divide by 255"),
        (dict(context=np.full((3, 2, 8, 8, 1), -1.0)), r"Received: -1 to -1; from \[-1, 1\]"),
        (dict(context=np.full((3, 2, 8, 8, 1), 1.002)), r"1.002 to 1.002; see np.clip\(x, 0, 1\)"),
        (dict(context=np.full((3, 2, 8, 8, 1), -0.02)), r"-0.02 to -0.02; see np.clip\(x, 0, 1\)"),
        (dict(context=list(np.full((3, 2, 8, 8, 1), 3.0))), "3 to 3; divide by 255"),
        (dict(context=[np.zeros((2, 8, 8, 1)), np.zeros((3, 8, 8, 1))]), "must have equal shapes"),
        (dict(context=np.full((3, 2, 8, 8, 1), np.nan)), r"in \[0, 1\]. Received: nan to nan"),
        (dict(seeds=np.zeros((3, 0), int)), r"must not be empty. Received: shape \(3, 0\)"),
        (dict(seeds=[1.0, 2.5, 3.0]), "`seeds` must be integers. Received: float32"),
        (dict(horizon=0), "`horizon` must be an integer, at least 1. Received: 0"),
        (dict(horizon=2.5), "`horizon` must be an integer, at least 1. Received: 2.5"),
    ],
)
def test_wrong_arguments_are_refused(model, context, change, message):
    arguments = dict(context=context.astype(np.float32) / 255, horizon=2, seeds=[1, 2, 3]) | change
    with pytest.raises(ValueError, match=message):
        sampling.sample_videos(model, **arguments)


def test_rounding_beyond_the_range_is_accepted(model, context):
    just = np.clip(context / 255.0, 0.0, 1.0).astype(np.float32) * 1.0005
    assert just.max() > 1
    sampling.sample_videos(model, just, 2, [1, 2, 3])


def test_a_horizon_of_any_type_of_integers(model, context):
    expected = sampling.sample_videos(model, context, 2, [1, 2, 3])
    for horizon in (np.int64(2), np.array(2), tf.constant(2)):
        found = sampling.sample_videos(model, context, horizon, [1, 2, 3])
        np.testing.assert_array_equal(found, expected)


def test_a_temperature_must_be_a_number_that_is_not_negative(model, context):
    for temperature in (-1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="`temperature` must be at least 0"):
            sampling.sample_videos(model, context, 2, [1, 2, 3], temperature=temperature)


def test_the_package_names_what_it_has():
    with pytest.raises(AttributeError, match="has no attribute 'rollout'"):
        sampling.rollout  # noqa: B018


@pytest.mark.parametrize("seed", [2**63 - 1, 2**64, -(2**62), 1.5, True, None])
def test_a_first_seed_is_an_integer_with_room_for_further_ones(model, context, seed):
    with pytest.raises(ValueError, match="`seed` must be an integer within"):
        model.predict(context, 1, seed=seed, verbose=0)
