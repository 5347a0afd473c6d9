"""Every layer and model, one row each, under the same checks."""

from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvrnn import layers
from tfvrnn.models import VRNN
from tfvrnn.models.decoder import FrameDecoder
from tfvrnn.models.encoder import EncoderStage, FrameEncoder

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
CHANNELS = {16: 8, 8: 16, 4: 16, 1: 16}
GROUPS = 4


class Row(NamedTuple):
    """make: dtype -> layer; build: shape of the first input; inputs: shapes of all inputs,
    nested; outputs: shapes of all outputs, nested alike; weights: how many."""

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
        lambda dtype: layers.LatentLevel(8, (16,), 3, GROUPS, dtype=dtype),
        (None, 8, 8, 8), ((2, 8, 8, 8), state(2, 8, 8, 8), ((2, 1, 1, 16),)),
        (((2, 8, 8, 8), (2, 8, 8, 8)), state(2, 8, 8, 8)), 18,
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
        (None, 1, 1, 16),
        ((2, 1, 1, 16), {1: (2, 1, 1, 16)}, STATES),
        ((2, 16, 16, 1), STATES), 58,
    ),
    "vrnn": Row(
        lambda dtype: VRNN((16, 16, 1), CHANNELS, 2, (1, 8), GROUPS, "bce", dtype=dtype),
        None, ((2, 4, 16, 16, 1), [(2, 2, 1, 1, 16), (2, 2, 8, 8, 16)]),
        ({"reconstruction": (2,), "kl_1": (2,), "kl_8": (2,)}, (2, 2, 16, 16, 1)), 237,
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
        lambda shape: tf.constant(rng.uniform(size=shape), tf.float32), ROWS[name].inputs
    )


def flat(x):
    return [np.asarray(tf.cast(leaf, tf.float32)) for leaf in keras.tree.flatten(x)]


each = pytest.mark.parametrize("name", ROWS)


@each
def test_shapes_and_number_of_weights(name):
    layer = make(name)
    outputs = layer(*make_inputs(name))
    found = [leaf.shape for leaf in flat(outputs)]
    expected = keras.tree.flatten(map_shapes(np.zeros, ROWS[name].outputs))
    assert found == [leaf.shape for leaf in expected]
    assert len(layer.weights) == ROWS[name].weights


@each
def test_building_ahead_makes_the_weights_of_the_first_call(name):
    if ROWS[name].build is None:
        pytest.skip("built by its constructor")
    called = ROWS[name].make("float32")
    called(*make_inputs(name))
    built = make(name)
    assert [w.shape for w in called.weights] == [w.shape for w in built.weights]


@each
def test_config_round_trip_keeps_the_function(name):
    layer = make(name)
    copy = type(layer).from_config(layer.get_config())
    if ROWS[name].build:
        copy.build(ROWS[name].build)
    assert copy.get_config() == layer.get_config()
    copy.set_weights(layer.get_weights())
    inputs = make_inputs(name)
    for a, b in zip(flat(layer(*inputs)), flat(copy(*inputs))):
        np.testing.assert_array_equal(a, b)


@each
@pytest.mark.parametrize("policy", POLICIES)
def test_finite_and_near_float32_under_every_policy(name, policy):
    exact, layer = make(name), make(name, policy)
    layer.set_weights(exact.get_weights())
    inputs = make_inputs(name)
    for a, b in zip(flat(exact(*inputs)), flat(layer(*inputs))):
        assert np.all(np.isfinite(b))
        # Half precision keeps 8 (11) bits; a handful of layers lose a few of them.
        bound = {"float32": 1e-6, "mixed_bfloat16": 0.15, "mixed_float16": 0.02}[policy]
        assert np.abs(a - b).max() <= bound * max(1.0, np.abs(a).max())
    assert all(w.dtype == "float32" for w in layer.weights)


@each
def test_eager_equals_graph_equals_saved_model(name, tmp_path):
    layer, inputs = make(name), make_inputs(name)

    def call(*leaves):  # flat, as saved signatures do not hold dictionaries by resolution
        return keras.tree.flatten(layer(*tf.nest.pack_sequence_as(inputs, leaves)))

    module = tf.Module()
    module.layer = layer
    module.call = tf.function(call, autograph=False)
    leaves = tf.nest.flatten(inputs)
    eager, graph = layer(*inputs), module.call(*leaves)
    tf.saved_model.save(module, str(tmp_path))
    restored = tf.saved_model.load(str(tmp_path))
    for a, b, c in zip(flat(eager), flat(graph), flat(restored.call(*leaves))):
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(a, c, atol=1e-5, rtol=1e-5)
