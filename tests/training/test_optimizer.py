import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvrnn.config import TrainConfig
from tfvrnn.training.optimizer import (
    MovingAverages,
    WarmupSchedule,
    make_optimizer,
    make_schedule,
    ramp,
)

SHAPES = [(3, 4), (5,)]


def variables(shapes=SHAPES):
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in shapes]


def apply(optimizer, steps=4, l2=0.0):
    weights, rng = variables(), np.random.default_rng(1)
    optimizer.build(weights)
    step = tf.function(lambda *g: optimizer.apply_gradients(zip(g, weights)), autograph=False)
    for _ in range(steps):
        gradients = [tf.constant(rng.normal(size=s), tf.float32) for s in SHAPES]
        step(*[g + l2 * w.value for g, w in zip(gradients, weights)])
    return [w.numpy() for w in weights]


@pytest.mark.parametrize(
    "options,reference",
    [
        (dict(), dict()),
        (dict(weight_decay=0.1, weight_decay_mode="decoupled"), dict(weight_decay=0.1)),
        (dict(clip_norm=0.5), dict(global_clipnorm=0.5)),
        (dict(adam_epsilon=0.1), dict(epsilon=0.1)),
        (dict(adam_beta_2=0.9), dict(beta_2=0.9)),
    ],
)
def test_updates_are_those_of_keras(options, reference):
    ours = apply(make_optimizer(TrainConfig(learning_rate=0.01, **options)))
    theirs = apply(keras.optimizers.Adam(0.01, **{"epsilon": 1e-8, **reference}))
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_coupled_weight_decay_is_added_to_the_gradient():
    ours = apply(make_optimizer(TrainConfig(learning_rate=0.01, weight_decay=0.1)))
    theirs = apply(keras.optimizers.Adam(0.01, epsilon=1e-8), l2=0.1)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_one_operation_updates_one_variable():
    optimizer, weights = make_optimizer(TrainConfig()), variables()
    optimizer.build(weights)
    step = tf.function(lambda *g: optimizer.apply_gradients(zip(g, weights)), autograph=False)
    graph = step.get_concrete_function(*[tf.zeros(s) for s in SHAPES]).graph
    kinds = [op.type for op in graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == len(SHAPES)


def muon_in_numpy(kernel, gradients, rate, momentum=0.95, decay=0.0):
    """Take the steps of Muon (Jordan et al.) with the scale of Liu et al., in float64."""
    kernel, average = kernel.astype(np.float64), 0.0
    for gradient in gradients:
        average = momentum * average + gradient
        matrix = (gradient + momentum * average).reshape(-1, kernel.shape[-1])
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        values = values / np.linalg.norm(values)
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        update = 0.2 * np.sqrt(max(matrix.shape)) * (left * values) @ right
        kernel = kernel * (1.0 - rate * decay) - rate * update.reshape(kernel.shape)
    return kernel


@pytest.mark.parametrize("shape", [(3, 4), (7, 2), (3, 3, 2, 5), (1, 1, 2, 30)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_muon_against_singular_values(shape, decay):
    shapes = [shape, (5,)]
    options = dict(learning_rate=0.01, weight_decay=decay, weight_decay_mode="decoupled")
    ours = make_optimizer(TrainConfig(optimizer="muon", **options))
    adam = make_optimizer(TrainConfig(**options))
    weights, others = variables(shapes), variables(shapes)
    before, rng = weights[0].numpy(), np.random.default_rng(1)
    gradients = [[rng.normal(size=s).astype(np.float32) for s in shapes] for _ in range(4)]
    for pair in gradients:
        ours.apply_gradients(zip(map(tf.constant, pair), weights))
        adam.apply_gradients(zip(map(tf.constant, pair), others))
    expected = muon_in_numpy(before, [pair[0] for pair in gradients], 0.01, decay=decay)
    np.testing.assert_allclose(weights[0], expected, atol=1e-5)
    np.testing.assert_allclose(weights[1], others[1], rtol=1e-6)  # a bias


def test_muon_takes_coupled_decay_and_clips():
    start, gradient = variables([(3, 4)])[0].numpy(), np.ones((3, 4), np.float32)
    for options, taken in [
        (dict(weight_decay=0.5), gradient + 0.5 * start),
        (dict(clip_norm=1e-2), gradient),  # no effect: Muon removes the size of a gradient
    ]:
        optimizer, weights = make_optimizer(TrainConfig(optimizer="muon", **options)), variables()
        optimizer.build(weights[:1])
        optimizer.apply_gradients([(tf.constant(gradient), weights[0])])
        np.testing.assert_allclose(weights[0], muon_in_numpy(start, [taken], 1e-4), atol=1e-6)


def test_warm_up_and_cosine():
    schedule = WarmupSchedule(2.0, warmup_steps=4, cosine_steps=104)
    rates = [float(schedule(step)) for step in (0, 1, 3, 4, 54, 104, 200)]
    np.testing.assert_allclose(rates, [0.5, 1.0, 2.0, 2.0, 1.0, 0.0, 0.0], atol=1e-3)
    assert float(WarmupSchedule(2.0)(10**6)) == 2.0


def test_a_tenth_from_half_of_the_steps():
    schedule = make_schedule(TrainConfig(steps=10, learning_rate=1e-3, schedule="step"), 16)
    rates = [float(schedule(step)) for step in (0, 4, 5, 9)]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4], rtol=1e-6)
    assert WarmupSchedule(**schedule.get_config())(5) == schedule(5)


def test_ramp():
    assert [float(ramp(step, 4)) for step in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    assert float(ramp(0, 0)) == 1.0


def test_loss_scaling_skips_a_step_that_is_not_finite():
    optimizer = make_optimizer(TrainConfig(precision="mixed_float16"), initial_loss_scale=2.0**15)
    weights = variables()
    optimizer.build(weights)
    scale, before = float(optimizer.dynamic_scale), [w.numpy() for w in weights]
    optimizer.apply_gradients([(tf.fill(s, np.inf), w) for s, w in zip(SHAPES, weights)])
    for a, b in zip(before, weights):
        np.testing.assert_array_equal(a, b.numpy())
    assert float(optimizer.dynamic_scale) == scale / 2
    optimizer.apply_gradients([(tf.ones(s) * scale / 2, w) for s, w in zip(SHAPES, weights)])
    np.testing.assert_allclose(before[0] - weights[0].numpy(), 1e-4, rtol=1e-2)


def test_moving_averages_follow_the_weights_and_can_be_swapped_in():
    model = keras.Sequential([keras.layers.Dense(2)])
    model.build((None, 3))
    averages = MovingAverages(model, 0.75)
    first = model.get_weights()
    model.set_weights([w + 1.0 for w in first])
    averages.update()
    with averages.swapped_in():
        for a, b in zip(model.get_weights(), first):
            np.testing.assert_allclose(a, b + 0.25, rtol=1e-6)
    for a, b in zip(model.get_weights(), first):
        np.testing.assert_allclose(a, b + 1.0, rtol=1e-6)


def test_moving_averages_follow_moving_statistics_too():
    model = keras.Sequential([keras.layers.BatchNormalization()])
    model.build((None, 3))
    averages = MovingAverages(model, 0.75)
    model.layers[0].moving_mean.assign([4.0, 0.0, 8.0])
    averages.update()
    with averages.swapped_in():
        np.testing.assert_allclose(model.layers[0].moving_mean, [1.0, 0.0, 2.0])
    np.testing.assert_allclose(model.layers[0].moving_mean, [4.0, 0.0, 8.0])


def test_the_releases_rule_scales_and_ramps_the_learning_rate():
    config = TrainConfig(learning_rate=1e-4, scale_learning_rate=True, epoch_videos=640)
    rate = make_schedule(config, batch_size=64)
    assert float(rate(0)) == pytest.approx(1e-4 + 3e-4 / 50)  # 5 epochs of 10 steps
    assert float(rate(24)) == pytest.approx(2.5e-4)
    assert float(rate(49)) == float(rate(10**6)) == pytest.approx(4e-4)
    given = dataclasses.replace(config, warmup_steps=4)
    assert float(make_schedule(given, 64)(1)) == pytest.approx(2.5e-4)
    assert float(make_schedule(given, 16)(1)) == pytest.approx(1e-4)
