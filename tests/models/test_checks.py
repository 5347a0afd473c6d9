import json

import keras
import numpy as np
import pytest

from tfvrnn.config import UserError
from tfvrnn.models import SVG, VRNN, CopyLast, PredNet, VideoPredictor
from tfvrnn.models.checks import checked_levels

SHAPE, CHANNELS = (8, 8, 1), {8: 8, 4: 8, 1: 8}


def vrnn(image_shape=SHAPE, channels=CHANNELS, context_frames=2, levels=(1,), **options):
    return VRNN(image_shape, channels, context_frames, levels, groups=2, **options)


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: vrnn(context_frames=0), "`context_frames` must be at least 1"),
        (lambda: vrnn(image_shape=(8, 16, 1)), "must be that of square frames"),
        (lambda: vrnn(image_shape=(8, 8)), r"`image_shape` must be \(H, W, C\)"),
        (lambda: vrnn(channels={16: 8, 4: 8, 1: 8}), "must be of the resolutions 8, 4, 1"),
        (lambda: vrnn(channels={}), "must be of the resolutions 8, 4, 1"),
        (lambda: vrnn(channels={8: 8, 1: 8}), "must be of the resolutions 8, 4, 1"),
        (lambda: vrnn(channels={8: 8, 4: 8, 2: 8, 1: 8}), "must be of the resolutions 8, 4, 1"),
        (lambda: vrnn((32, 32, 1), {32: 8, **CHANNELS}), "of the resolutions 32, 16, 8, 4, 1"),
        (lambda: vrnn((12, 12, 1), {12: 8, **CHANNELS}), "8 times a power of two"),
        (lambda: vrnn((4, 4, 1), {4: 8, 1: 8}), "8 times a power of two"),
        (lambda: vrnn(channels={8: 8, 4: 8, 1: 16}), "must be equal at 8, 4 and 1"),
        (lambda: vrnn(levels=None), "`latent_resolutions` must be given"),
        (lambda: VRNN(SHAPE, CHANNELS, 2, (1,), groups=0), "`groups` must be at least 1"),
        (lambda: vrnn(initial_variance=0.0), "must lie in 0.0001 to 100"),
        (lambda: vrnn(initial_variance=1e3), "must lie in 0.0001 to 100"),
        (lambda: vrnn(forget_bias=float("nan")), "`forget_bias` must be finite"),
        (lambda: vrnn(advection=9), "an odd number below 8"),
        (lambda: vrnn(advection=2), "an odd number below 8"),
        (lambda: vrnn(advection=True), "an odd number below 8"),
        (lambda: vrnn(levels=(8, 1)), "must increase, coarsest first"),
        (lambda: vrnn(levels=(2,)), "`latent_resolutions` must be of 1, 4, 8"),
        (lambda: vrnn(levels=()), "`latent_resolutions` must be of 1, 4, 8"),
        (lambda: vrnn(levels=(1, 8), latent_channels=(4,)), "one number per latent level"),
        (lambda: SVG((32, 32, 1), 2), "must have sides of 64"),
        (lambda: PredNet((20, 20, 1), 2), "sides that 8 divides"),
        (lambda: CopyLast(SHAPE, 0), "`context_frames` must be at least 1"),
        (lambda: CopyLast(SHAPE, 2, "foo"), "`reconstruction` must be one of l1, l2"),
    ],
)
def test_impossible_arguments_are_refused_in_one_line(make, message):
    with pytest.raises(UserError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_the_channels_of_the_levels_are_those_of_the_maps_or_given_ones():
    assert checked_levels(8, CHANNELS, [1, 8], None) == ((1, 8), (8, 8))
    levels, channels = checked_levels(8, CHANNELS, (1, 8), np.array([4, 6]))
    assert levels == (1, 8) and [*map(int, channels)] == [4, 6]


def test_copying_takes_frames_that_are_not_square():
    assert CopyLast((8, 16, 1), 2).image_shape == (8, 16, 1)


@keras.saving.register_keras_serializable(package="test")
class Foreign(keras.optimizers.SGD):
    """An optimizer that nobody else has."""


def test_a_preset_holds_no_optimizer(tmp_path):
    model = CopyLast(SHAPE, 2)
    model.compile(Foreign())
    model.save_to_preset(tmp_path)
    assert "Foreign" not in (tmp_path / "config.json").read_text()
    assert not VideoPredictor.from_preset(tmp_path).compiled


@pytest.mark.parametrize("values", [{"channels": {}}, {"latent_channels": [4]}, {"groups": "a"}])
def test_a_damaged_preset_is_one_line(tmp_path, values):
    vrnn(levels=(1, 8)).save_to_preset(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["config"] |= values
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="holds no VideoPredictor") as error:
        VideoPredictor.from_preset(tmp_path)
    assert "\n" not in str(error.value)
