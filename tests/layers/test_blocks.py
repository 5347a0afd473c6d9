import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import conv_same, group_norm

from tfvrnn.layers import GroupNorm, ResidualBlock, UpConv


def relu(x):
    return np.maximum(x, 0.0)


@pytest.mark.parametrize("channels,filters", [(8, 8), (4, 8), (8, 4)])
def test_residual_block_matches_float64_reference(rng, channels, filters):
    block = ResidualBlock(filters, groups=2)
    block.build((None, 6, 6, channels))
    weights = [rng.normal(size=w.shape) for w in block.get_weights()]
    block.set_weights(weights)
    k1, b1, s1, o1, k2, b2, s2, o2, *short = weights
    assert k1.shape[-1] == min(channels, filters)
    x = rng.normal(size=(2, 6, 6, channels))
    hidden = group_norm(conv_same(relu(x), k1, b1), s1, o1, 2)
    body = group_norm(conv_same(relu(hidden), k2, b2), s2, o2, 2)
    shortcut = conv_same(x, short[0]) if short else x
    np.testing.assert_allclose(block(x.astype(np.float32)), body + shortcut, atol=1e-4)


def test_collapse_makes_one_pixel_of_four_by_four(rng):
    block = ResidualBlock(8, kernel_size=1, groups=2, collapse=True)
    x = rng.normal(size=(2, 4, 4, 8)).astype(np.float32)
    y = block(x)
    assert y.shape == (2, 1, 1, 8)
    # Without its body, the block is a max pool.
    block.second.norm.scale.assign(np.zeros(8))
    np.testing.assert_allclose(block(x), x.max(axis=(1, 2), keepdims=True), atol=1e-6)


def test_collapse_of_another_size_raises():
    with pytest.raises(ValueError, match=r"`collapse` needs inputs of 4x4.*Received"):
        ResidualBlock(8, groups=2, collapse=True).build((None, 8, 8, 8))


@pytest.mark.parametrize("side,expected", [(1, 4), (4, 8), (8, 16)])
def test_up_conv_reaches_the_next_resolution(rng, side, expected):
    up = UpConv(8, groups=2)
    y = up(rng.normal(size=(2, side, side, 4)).astype(np.float32))
    assert y.shape == (2, expected, expected, 8)
    assert np.min(y) == 0.0


def test_up_conv_places_a_pixel_by_stride_two_and_padding_one():
    up = UpConv(2, groups=1)
    up.build((None, 4, 4, 1))
    kernel = np.arange(32, dtype=np.float32).reshape(4, 4, 2, 1)
    up.conv.kernel.assign(kernel)
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 1, 2, 0] = 1.0
    expected = np.zeros((8, 8, 2), np.float32)
    expected[1:5, 3:7] = kernel[..., 0]  # row 2 * 1 - 1, column 2 * 2 - 1
    np.testing.assert_allclose(up.conv(x)[0], expected, atol=1e-5)


def test_fewer_channels_than_groups_make_fewer_groups(rng):
    x = rng.normal(size=(2, 3, 3, 4)).astype(np.float32)
    norm = GroupNorm(groups=16)
    np.testing.assert_allclose(norm(x), group_norm(x, 1.0, 0.0, 4), atol=1e-4)


def test_channels_that_do_not_divide_raise():
    with pytest.raises(ValueError, match=r"Received: 4 groups for 6 channels"):
        GroupNorm(groups=4).build((None, 3, 3, 6))
    with pytest.raises(ValueError, match=r"`groups` must be positive. Received: 0"):
        GroupNorm(groups=0)


@pytest.mark.parametrize("make", [lambda: UpConv(4, 2), lambda: GroupNorm(2)])
def test_sides_may_be_unknown_until_the_call(rng, make):
    layer, inputs = make(), keras.Input((None, None, 4))
    model = keras.Model(inputs, layer(inputs))
    x = rng.random((2, 6, 4, 4), np.float32)
    np.testing.assert_allclose(model.predict(x, verbose=0), layer(x), atol=1e-6)


def test_a_group_norm_of_unknown_sides_has_the_same_gradient(rng):
    layer, x = GroupNorm(2), tf.constant(rng.random((2, 3, 5, 4), np.float32))
    layer.build(x.shape)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x) ** 3)
        return tape.gradient(y, x)

    unknown = tf.TensorSpec((None, None, None, 4), tf.float32)
    found = tf.function(gradient, input_signature=[unknown])(x)
    np.testing.assert_allclose(found, gradient(x), atol=1e-5)
