"""The conformance table: every layer and model, one row each. Runs on any backend of Keras."""

from typing import Any, NamedTuple

import keras
import numpy as np

from tfvrnn import layers
from tfvrnn.models import SVG, VRNN, CopyLast, PredNet
from tfvrnn.models.decoder import FrameDecoder
from tfvrnn.models.encoder import EncoderStage, FrameEncoder
from tfvrnn.models.reconstruction import Likelihood
from tfvrnn.models.svg import StackedLSTM
from tfvrnn.models.svg_networks import ConvBatchNorm, SVGDecoder, SVGEncoder

CHANNELS = {16: 8, 8: 16, 4: 16, 1: 16}
GROUPS = 4


class Row(NamedTuple):
    """One layer or model of the table.

    make: dtype -> layer.
    build: shape of the first input.
    inputs: shapes of all inputs, nested.
    outputs: shapes of all outputs, nested.
    weights: number of weights.
    """

    make: Any
    build: tuple
    inputs: tuple
    outputs: Any
    weights: int


def state(*shape):
    return (shape, shape)


STATES = tuple(state(2, r, r, c) for r, c in sorted(CHANNELS.items()))
ROWS = {
    "group_norm": Row(
        lambda dtype: layers.GroupNorm(GROUPS, dtype=dtype),
        (None, 8, 8, 8), ((2, 8, 8, 8),), (2, 8, 8, 8), 2,
    ),
    "conv_norm": Row(
        lambda dtype: layers.ConvNorm(8, 3, GROUPS, relu=True, dtype=dtype),
        (None, 8, 8, 3), ((2, 8, 8, 3),), (2, 8, 8, 8), 4,
    ),
    "residual_block": Row(
        lambda dtype: layers.ResidualBlock(8, groups=GROUPS, dtype=dtype),
        (None, 8, 8, 8), ((2, 8, 8, 8),), (2, 8, 8, 8), 8,
    ),
    "residual_block_widening": Row(
        lambda dtype: layers.ResidualBlock(16, groups=GROUPS, dtype=dtype),
        (None, 8, 8, 8), ((2, 8, 8, 8),), (2, 8, 8, 16), 9,
    ),
    "residual_block_collapsing": Row(
        lambda dtype: layers.ResidualBlock(16, 1, GROUPS, collapse=True, dtype=dtype),
        (None, 4, 4, 16), ((2, 4, 4, 16),), (2, 1, 1, 16), 8,
    ),
    "up_conv": Row(
        lambda dtype: layers.UpConv(8, GROUPS, dtype=dtype),
        (None, 8, 8, 16), ((2, 8, 8, 16),), (2, 16, 16, 8), 4,
    ),
    "up_conv_from_one_pixel": Row(
        lambda dtype: layers.UpConv(8, GROUPS, dtype=dtype),
        (None, 1, 1, 16), ((2, 1, 1, 16),), (2, 4, 4, 8), 4,
    ),
    "conv_lstm_cell": Row(
        lambda dtype: layers.ConvLSTMCell(8, 3, GROUPS, dtype=dtype),
        (None, 8, 8, 4), ((2, 8, 8, 4), state(2, 8, 8, 8)),
        ((2, 8, 8, 8), state(2, 8, 8, 8)), 10,
    ),
    "initial_state": Row(
        lambda dtype: layers.InitialState(8, GROUPS, dtype=dtype),
        (None, 2, 8, 8, 8), ((2, 2, 8, 8, 8),), state(2, 8, 8, 8), 8,
    ),
    "latent_level": Row(
        lambda dtype: layers.LatentLevel(8, None, (16,), 3, GROUPS, dtype=dtype),
        (None, 8, 8, 8), ((2, 8, 8, 8), state(2, 8, 8, 8), ((2, 1, 1, 16),)),
        (((2, 8, 8, 8), (2, 8, 8, 8)), state(2, 8, 8, 8)), 18,
    ),
    "latent_level_with_feedback": Row(
        lambda dtype: layers.LatentLevel(8, 5, (16,), 3, GROUPS, feedback=True, dtype=dtype),
        (None, 8, 8, 8),
        ((2, 8, 8, 8), state(2, 8, 8, 8), ((2, 1, 1, 16),), (2, 8, 8, 5)),
        (((2, 8, 8, 5), (2, 8, 8, 5)), state(2, 8, 8, 8)), 22,
    ),
    "encoder_stage": Row(
        lambda dtype: EncoderStage(16, groups=GROUPS, dtype=dtype),
        (None, 16, 16, 8), ((2, 16, 16, 8),), (2, 8, 8, 16), 17,
    ),
    "frame_encoder": Row(
        lambda dtype: FrameEncoder(CHANNELS, GROUPS, dtype=dtype),
        (None, 16, 16, 1), ((2, 16, 16, 1),), {r: (2, r, r, c) for r, c in CHANNELS.items()}, 43,
    ),
    "frame_decoder": Row(
        lambda dtype: FrameDecoder(CHANNELS, {1: 16}, 1, GROUPS, dtype=dtype),
        {1: (None, 1, 1, 16)},
        ({1: (2, 1, 1, 16)}, {1: (2, 1, 1, 16)}, STATES),
        ((2, 16, 16, 1), STATES), 58,
    ),
    "frame_decoder_with_skips": Row(
        lambda dtype: FrameDecoder(CHANNELS, {4: 16}, 1, GROUPS, skips=True, dtype=dtype),
        {r: (None, r, r, c) for r, c in CHANNELS.items()},
        ({r: (2, r, r, c) for r, c in CHANNELS.items()}, {4: (2, 4, 4, 16)}, STATES),
        ((2, 16, 16, 1), STATES), 58,
    ),
    "vrnn": Row(
        lambda dtype: VRNN(
            (16, 16, 1), CHANNELS, 2, (1, 8), groups=GROUPS, reconstruction="bce", dtype=dtype
        ),
        None, ((2, 4, 16, 16, 1), [(2, 2, 1, 1, 16), (2, 2, 8, 8, 16)]),
        ({"reconstruction": (2,), "kl_1": (2,), "kl_8": (2,)}, (2, 2, 16, 16, 1)), 237,
    ),
    "vrnn_with_all_options": Row(
        lambda dtype: VRNN(
            (16, 16, 1), CHANNELS, 2, (1, 8), (10, 6), "own", GROUPS, "bce",
            advection=5, decoder_skips=True, dense_decoder=True, dtype=dtype,
        ),
        None, ((2, 4, 16, 16, 1), [(2, 2, 1, 1, 10), (2, 2, 8, 8, 6)]),
        ({"reconstruction": (2,), "kl_1": (2,), "kl_8": (2,)}, (2, 2, 16, 16, 1)), 253,
    ),
    "likelihood": Row(
        lambda dtype: Likelihood("gaussian", 3), (None, 4, 8, 8, 3),
        ((2, 4, 8, 8, 3), (2, 4, 8, 8, 3)), (2,), 1,
    ),
    "conv_batch_norm": Row(
        lambda dtype: ConvBatchNorm(8, 4, 2, "same", True, dtype=dtype),
        (None, 8, 8, 4), ((2, 8, 8, 4),), (2, 16, 16, 8), 6,
    ),
    "svg_encoder": Row(
        lambda dtype: SVGEncoder("vgg", 1, 16, dtype=dtype), (None, 64, 64, 1),
        ((2, 64, 64, 1),),
        ((2, 16), ((2, 64, 64, 64), (2, 32, 32, 128), (2, 16, 16, 256), (2, 8, 8, 512))), 66,
    ),
    "svg_decoder": Row(
        lambda dtype: SVGDecoder("dcgan", 1, 16, dtype=dtype), (None, 16),
        ((2, 16), ((2, 32, 32, 64), (2, 16, 16, 128), (2, 8, 8, 256), (2, 4, 4, 512))),
        (2, 64, 64, 1), 26,
    ),
    "stacked_lstm": Row(
        lambda dtype: StackedLSTM(5, 2, (3, 4), dtype=dtype), (None, 5),
        ((2, 5), (state(2, 256), state(2, 256))),
        ([(2, 3), (2, 4)], (state(2, 256), state(2, 256))), 12,
    ),
    "svg": Row(
        lambda dtype: SVG((64, 64, 1), 2, latents=3, dtype=dtype),
        None, ((2, 4, 64, 64, 1), [(2, 3, 1, 1, 3)]),
        ({"reconstruction": (2,), "kl_1": (2,)}, (2, 2, 64, 64, 1)), 84,
    ),
    "prednet": Row(
        lambda dtype: PredNet((16, 16, 1), 2, stacks=(4, 6, 8), dtype=dtype),
        None, ((2, 4, 16, 16, 1), []), ({"reconstruction": (2,)}, (2, 2, 16, 16, 1)), 22,
    ),
    "copy_last": Row(
        lambda dtype: CopyLast((16, 16, 1), 2, dtype=dtype),
        None, ((2, 4, 16, 16, 1), []), ({"reconstruction": (2,)}, (2, 2, 16, 16, 1)), 0,
    ),
}  # fmt: skip


def is_shape(x):
    return isinstance(x, tuple) and all(isinstance(n, int) for n in x)


def map_shapes(function, shapes):
    if is_shape(shapes):
        return function(shapes)
    if isinstance(shapes, dict):
        return {key: map_shapes(function, value) for key, value in shapes.items()}
    return type(shapes)(map_shapes(function, part) for part in shapes)


def make(name, dtype="float32"):
    row = ROWS[name]
    keras.utils.set_random_seed(1)
    layer = row.make(dtype)
    if row.build:
        layer.build(row.build)
    return layer


def make_inputs(name):
    rng = np.random.default_rng(0)
    return map_shapes(
        lambda shape: keras.ops.convert_to_tensor(rng.uniform(size=shape), "float32"),
        ROWS[name].inputs,
    )


def flat(x):
    return [
        keras.ops.convert_to_numpy(keras.ops.cast(leaf, "float32"))
        for leaf in keras.tree.flatten(x)
    ]
