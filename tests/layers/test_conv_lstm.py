import numpy as np
import pytest
import tensorflow as tf
from reference import conv_lstm_step

from tfvrnn.layers import ConvLSTMCell, ConvLSTMState


def randomised(cell, rng):
    cell.set_weights([rng.normal(0.3, 0.5, size=w.shape) for w in cell.get_weights()])
    return cell


def make(rng, filters=8, side=5, channels=3, kernel_size=3, groups=4):
    cell = ConvLSTMCell(filters, kernel_size, groups)
    cell.build((None, side, side, channels))
    return randomised(cell, rng)


def maps(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kernel_size,side", [(3, 5), (1, 1)])
def test_step_matches_float64_reference(rng, kernel_size, side):
    cell = make(rng, kernel_size=kernel_size, side=side)
    x, hidden, memory = maps(rng, 2, side, side, 3), *maps(rng, 2, 2, side, side, 8)
    output, state = cell(x, (hidden, memory))
    expected = conv_lstm_step(x, hidden, memory, cell.get_weights(), groups=4)
    assert isinstance(state, ConvLSTMState)
    np.testing.assert_array_equal(output, state.hidden)
    np.testing.assert_allclose(state.hidden, expected[0], atol=1e-5)
    np.testing.assert_allclose(state.cell, expected[1], atol=1e-4)


def test_weights_come_in_the_documented_order(rng):
    cell = make(rng)
    gates = (32,)
    inputs = [(3, 3, 3, 32), gates, gates, gates]
    recurrent = [(3, 3, 8, 32), gates, gates, gates]
    assert [tuple(w.shape) for w in cell.weights] == [*inputs, *recurrent, (8,), (8,)]


def test_the_forget_bias_is_the_first_offset_of_the_recurrent_forget_gates():
    cell = ConvLSTMCell(8, groups=4, forget_bias=1.5)
    cell.build((None, 5, 5, 3))
    offsets = np.split(np.asarray(cell.recurrence.recurrent.norm.offset), 4)
    for offset, expected in zip(offsets, (0.0, 1.5, 0.0, 0.0)):  # i, f, o, g
        np.testing.assert_array_equal(offset, np.full(8, expected, np.float32))
    assert not np.any(cell.inputs_to_gates.norm.offset)


def test_sequence_equals_repeated_steps(rng):
    cell = make(rng)
    x, state = maps(rng, 2, 4, 5, 5, 3), tuple(maps(rng, 2, 2, 5, 5, 8))
    together = cell.sequence(x, state)
    for t in range(4):
        output, state = cell(x[:, t], state)
        np.testing.assert_allclose(together[:, t], output, atol=1e-5)


def test_sequence_has_the_gradients_of_repeated_steps(rng):
    cell = make(rng)
    x = tf.constant(maps(rng, 2, 3, 5, 5, 3))
    state = tuple(tf.constant(m) for m in maps(rng, 2, 2, 5, 5, 8))
    weight = maps(rng, 2, 3, 5, 5, 8)

    def steps(x, state):
        outputs = []
        for t in range(3):
            output, state = cell(x[:, t], state)
            outputs.append(output)
        return tf.stack(outputs, axis=1)

    gradients = []
    for function in (cell.sequence, steps):
        with tf.GradientTape() as tape:
            tape.watch([x, *state])
            loss = tf.reduce_sum(function(x, state) * weight)
        gradients.append(tape.gradient(loss, [x, *state, *cell.trainable_variables]))
    for a, b in zip(*gradients):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(1.0, float(tf.reduce_max(tf.abs(b)))))


def test_groups_not_dividing_filters_raises():
    with pytest.raises(ValueError, match=r"`groups` must divide.*Received: 5 groups for 32"):
        ConvLSTMCell(8, groups=5)
    with pytest.raises(ValueError, match=r"Received: 16 groups for 20"):
        ConvLSTMCell(20)


def test_no_filters_raises():
    with pytest.raises(ValueError, match=r"`filters` must be positive. Received: 0"):
        ConvLSTMCell(0)
