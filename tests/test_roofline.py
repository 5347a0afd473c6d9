"""Test the count of operations that the benchmarks divide by."""

import sys
from pathlib import Path

import keras
import pytest

from tfvrnn.config import ModelConfig
from tfvrnn.models import build_model

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import roofline


def conv(pixels, kernel, channels_in, channels_out):
    return 2 * pixels * kernel**2 * channels_in * channels_out


def conv_lstm(pixels, kernel, channels_in, filters):
    return conv(pixels, kernel, channels_in + filters, 4 * filters)


def residual(pixels, kernel, channels_in, channels_out):
    hidden = min(channels_in, channels_out)
    total = conv(pixels, kernel, channels_in, hidden) + conv(pixels, kernel, hidden, channels_out)
    return total + (channels_in != channels_out) * conv(pixels, 1, channels_in, channels_out)


def test_a_vrnn_of_16x16_pixels_against_a_hand_count():
    """Width 4 has 4, 8 and 16 channels at 16x16, 8x8 and 4x4 and 1x1; latents at 1x1 and 8x8."""
    config = ModelConfig(
        image_size=16, channels=1, width=4, groups=2, context_frames=2, latent_resolutions=(1, 8)
    )
    channels = {16: 4, 8: 8, 4: 8, 1: 8}
    assert config.encoder_channels == channels
    encoder = (
        conv(256, 3, 1, 4) + residual(256, 3, 4, 4)
        + residual(64, 3, 4, 8) + residual(64, 3, 8, 8)
        + conv(1, 4, 8, 8) + conv(1, 1, 8, 8) + residual(1, 1, 8, 8)
    )  # fmt: skip
    latents = (
        conv(1, 1, 8, 8) + conv_lstm(1, 1, 8, 8) + conv(1, 1, 8, 16)
        + conv(64, 1, 8, 8) + conv_lstm(64, 3, 8, 8) + conv(64, 1, 8 + 8, 16)
    )  # fmt: skip
    decoder = (
        conv_lstm(1, 1, 8 + 8, 8) + conv(1, 4, 8, 8)
        + conv_lstm(16, 3, 8, 8) + conv(16, 4, 8, 8)
        + conv_lstm(64, 3, 8 + 8, 8) + conv(64, 4, 8, 4)
        + conv_lstm(256, 3, 4, 4) + conv(256, 3, 4, 4) + conv(256, 3, 4, 1)
    )  # fmt: skip
    begins = {r: conv(r * r, 1, 2 * c, c) + conv(r * r, 1, c, 2 * c) for r, c in channels.items()}
    begin = sum(begins.values()) + 2 * (begins[1] + begins[8])
    frames, horizon = 5, 3
    forward = frames * encoder + horizon * (2 * latents + decoder) + begin
    assert roofline.training_flops(build_model(config), horizon) == 3 * forward


@pytest.mark.parametrize("family", ["svg", "prednet", "copy_last"])
def test_other_models_are_counted_and_left_as_they_were(family):
    size = 64 if family == "svg" else 16
    model = build_model(ModelConfig(family=family, image_size=size, channels=1))
    flops = roofline.training_flops(model, 1)
    assert (flops == 0) == (family == "copy_last")
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


def test_a_dense_layer_is_two_operations_a_weight_and_row():
    layer = keras.layers.Dense(5)
    layer.build((None, 3))
    assert roofline.count(layer, lambda: layer(keras.ops.zeros((7, 3)))) == 2 * 7 * 3 * 5
