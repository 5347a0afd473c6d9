import numpy as np
import pytest
import tensorflow as tf
from reference import group_norm

from tfvrnn import tensor_ops


def test_fold_and_unfold_time_are_inverse(rng):
    x = rng.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    folded = tensor_ops.fold_time(x)
    assert folded.shape == (6, 4, 5, 6)
    np.testing.assert_array_equal(folded[1 * 3 + 2], x[1, 2])
    np.testing.assert_array_equal(tensor_ops.unfold_time(folded, 3), x)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("margin", [0, 1, 3])
def test_mirror_extends_an_axis_as_numpy_does(rng, margin, axis):
    x = rng.normal(size=(2, 4, 5, 3)).astype(np.float32)
    margins = [(margin, margin) if a == axis else (0, 0) for a in range(4)]
    expected = np.pad(x, margins, mode="symmetric")
    np.testing.assert_array_equal(tensor_ops.mirror(x, margin, axis), expected)


def test_scan_passes_the_state_on_and_collects_the_outputs(rng):
    numbers = rng.normal(size=(2, 5, 3)).astype(np.float32)
    signs = rng.choice([-1.0, 1.0], size=(2, 5, 1)).astype(np.float32)

    def step(state, inputs):
        number, sign = inputs
        total = state["total"] + sign * number
        return {"total": total}, (total, {"sign": sign})

    first = {"total": tf.ones((2, 3))}
    state, (totals, others) = tensor_ops.scan(step, first, (tf.constant(numbers), signs))
    expected = 1.0 + np.cumsum(signs * numbers, axis=1)
    np.testing.assert_allclose(totals, expected, atol=1e-6)
    np.testing.assert_allclose(state["total"], expected[:, -1], atol=1e-6)
    np.testing.assert_array_equal(others["sign"], signs)


@pytest.mark.parametrize("factor", [1, 2, 8])
def test_upsample_nearest_repeats_pixels(rng, factor):
    x = rng.normal(size=(2, 3, 3, 4)).astype(np.float32)
    expected = x.repeat(factor, axis=1).repeat(factor, axis=2)
    np.testing.assert_array_equal(tensor_ops.upsample_nearest(x, 3 * factor), expected)


@pytest.mark.parametrize("shape,groups", [((3, 4, 5, 12), 4), ((2, 1, 1, 8), 2), ((2, 8, 8, 4), 4)])
def test_group_norm_matches_float64_reference(rng, shape, groups):
    x = rng.normal(3.0, 2.0, size=shape)
    scale, offset = rng.normal(size=(2, shape[-1]))
    y = tensor_ops.group_norm(
        tf.constant(x, tf.float32), scale.astype(np.float32), offset.astype(np.float32), groups
    )
    np.testing.assert_allclose(y, group_norm(x, scale, offset, groups), atol=1e-4)


@pytest.mark.parametrize("shape,groups", [((3, 4, 5, 12), 4), ((2, 1, 1, 8), 2)])
def test_group_norm_gradient_matches_automatic_differentiation(rng, shape, groups):
    x = tf.constant(rng.normal(1.0, 2.0, size=shape), tf.float32)
    scale, offset = tf.unstack(tf.constant(rng.normal(size=(2, shape[-1])), tf.float32))
    weight = tf.constant(rng.normal(size=shape), tf.float32)

    def plain(x, scale, offset):
        split = tf.reshape(x, (*shape[:3], groups, -1))
        mean, variance = tf.nn.moments(split, (1, 2, 4), keepdims=True)
        normal = tf.reshape((split - mean) * tf.math.rsqrt(variance + 1e-5), shape)
        return normal * scale + offset

    gradients = []
    for function in (plain, lambda *a: tensor_ops.group_norm(*a, groups)):
        with tf.GradientTape() as tape:
            tape.watch([x, scale, offset])
            loss = tf.reduce_sum(function(x, scale, offset) * weight)
        gradients.append(tape.gradient(loss, [x, scale, offset]))
    for expected, found in zip(*gradients):
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_group_norm_variance_survives_a_large_mean(rng):
    x = rng.normal(1000.0, 0.1, size=(1, 1, 1, 8))
    y = tensor_ops.group_norm(tf.constant(x, tf.float32), np.ones(8), np.zeros(8), 2)
    expected = group_norm(x.astype(np.float32).astype(np.float64), 1.0, 0.0, 2)
    np.testing.assert_allclose(y, expected, atol=1e-2)


def test_group_norm_of_half_precision_has_float32_statistics(rng):
    # The sum of squares of 4,096 values of 300 overflows float16.
    x = (300 + rng.normal(size=(1, 64, 64, 2))).astype(np.float16)
    y = tensor_ops.group_norm(tf.constant(x), np.ones(2), np.zeros(2), 1)
    assert y.dtype == tf.float16
    np.testing.assert_allclose(y, group_norm(x.astype(np.float64), 1.0, 0.0, 1), atol=5e-3)
