import functools

import numpy as np
import pytest
import tensorflow as tf

from tfvrnn import sampling
from tfvrnn.data import make_dataset
from tfvrnn.models import build_model
from tfvrnn.models.reconstruction import FIRST_ERRORS
from tfvrnn.tensor_ops import to_float
from tfvrnn.training.optimizer import MovingAverages, make_optimizer
from tfvrnn.training.step import make_train_step


def run(config, steps=3, averages=False):
    """Train some steps: (list of metrics, model, train step)."""
    model = build_model(config.model, config.train.precision, config.train.seed)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    moving = MovingAverages(model, 0.9) if averages else None
    step = make_train_step(model, optimizer, config, moving)
    data = make_dataset(config.data, config.model, "train").take(steps)
    metrics = [step(frames, tf.constant(n, tf.int64)) for n, frames in enumerate(data)]
    return [{k: float(v) for k, v in m.items()} for m in metrics], model, step


@functools.cache
def metrics_of(config):
    """Return the metrics of three steps, computed once for all tests."""
    return run(config)[0]


GOLDEN_LOSSES = [128.16425, 115.17478, 110.36239]


def test_golden_train_steps(small):
    """Compare three steps of a tiny run with recorded numbers.

    These numbers may change only with a change that is meant to change training: the model's
    equations, the data, the noise's keys, the optimizer. CHANGELOG.md must say so.
    """
    metrics, _, step = run(small(train__beta_warmup_steps=2))
    np.testing.assert_allclose([m["loss"] for m in metrics], GOLDEN_LOSSES, rtol=2e-4)
    assert [m["beta"] for m in metrics] == [0.5, 1.0, 1.0]
    assert step.experimental_get_tracing_count() == 1


CALIBRATED = {
    "model__reconstruction": "gaussian",
    "model__forget_bias": 1.0,
    "model__initial_variance": 0.05,
}
GOLDEN_CALIBRATED = [296.63022, 207.60312, 173.16029]
GOLDEN_SCALES = [0.09831404]


def test_golden_steps_of_a_calibrated_likelihood(small):
    """Compare like `test_golden_train_steps`; the same rule holds for changes."""
    metrics, model, _ = run(small(**CALIBRATED))
    np.testing.assert_allclose([m["loss"] for m in metrics], GOLDEN_CALIBRATED, rtol=2e-4)
    np.testing.assert_allclose(model.likelihood.error, GOLDEN_SCALES, rtol=2e-4)


@pytest.mark.thorough
def test_portions_move_the_scale_as_the_whole_batch_does(small, request):
    options = {**CALIBRATED, "model__latent_resolutions": (1,)}
    _, parts, _ = run(small(train__accumulate=2, **options), steps=2)
    request.getfixturevalue("eagerly")  # the whole batch needs no graph of its own
    _, whole, _ = run(small(**options), steps=2)
    np.testing.assert_allclose(parts.likelihood.error, whole.likelihood.error, rtol=1e-5)
    assert float(whole.likelihood.error[0]) != FIRST_ERRORS["gaussian"]


@pytest.mark.thorough
def test_the_scale_of_a_model_that_stands_still_settles(small):
    config = small(train__learning_rate=1e-30, model__latent_resolutions=(1,), **CALIBRATED)
    model = build_model(config.model)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, optimizer, config)
    frames = next(iter(make_dataset(config.data, config.model, "train")))
    scales = []
    for _ in range(300):
        step(frames, tf.constant(0, tf.int64))
        scales.append(float(model.likelihood.error[0]))
    _, predictions = model.training_terms(
        to_float(frames),
        sampling.training_noise(model, tf.range(len(frames)), config.data.horizon, 0, 0),
    )
    future = to_float(frames[:, model.context_frames :])
    error = float(model.likelihood.mean_error(future, predictions)[0])
    assert scales[-1] == pytest.approx(error, rel=1e-5)
    assert scales[-1] == pytest.approx(scales[-2], rel=1e-6)


PREDNET = {"model__family": "prednet", "model__prednet_stacks": (2, 2, 2)}  # quick to compile


@pytest.mark.thorough
@pytest.mark.parametrize("jit_compile,model", [(False, {}), (True, PREDNET)])
def test_accumulating_portions_gives_the_same_step(small, jit_compile, model):
    options = {"train__clip_norm": 100.0, "train__jit_compile": jit_compile, **model}
    whole = metrics_of(small(train__clip_norm=100.0, **model))
    parts, _, step = run(small(train__accumulate=2, **options))
    assert step.experimental_get_tracing_count() == 1
    for a, b in zip(whole, parts):
        assert set(a) == set(b)
        for name in set(a) - {"gradient_norm"}:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-3, atol=2e-3, err_msg=name)
    # Only the first step is compared. Adam turns rounding into whole steps where a gradient is
    # zero, and these change the norm of the next gradient more than the loss.
    np.testing.assert_allclose(whole[0]["gradient_norm"], parts[0]["gradient_norm"], rtol=1e-4)


@pytest.mark.thorough
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_close_to_float32(small, precision):
    exact = metrics_of(small(train__clip_norm=100.0))
    half = metrics_of(small(train__clip_norm=100.0, train__precision=precision))
    assert all(np.isfinite(m["loss"]) for m in half)
    np.testing.assert_allclose(
        [m["reconstruction"] for m in half],
        [m["reconstruction"] for m in exact],
        rtol=0.03,
    )
    np.testing.assert_allclose(half[0]["gradient_norm"], exact[0]["gradient_norm"], rtol=0.1)
    if precision == "mixed_float16":  # no step is skipped, from the first one on
        assert {m["loss_scale"] for m in half} == {1.0}
    assert ("loss_scale" in half[0]) == (precision == "mixed_float16")


def test_weights_are_float32_under_every_precision(small):
    for precision in ("mixed_bfloat16", "mixed_float16"):
        model = build_model(small().model, precision)
        assert all(w.dtype == "float32" for w in model.trainable_variables)


@pytest.mark.thorough
def test_accumulating_under_a_loss_scale_gives_the_same_gradients(small):
    options = {"train__precision": "mixed_float16", "train__clip_norm": 100.0}
    whole = metrics_of(small(**options))
    parts, _, _ = run(small(train__accumulate=2, **options), steps=1)
    for name in ("loss", "gradient_norm", "loss_scale"):
        np.testing.assert_allclose(whole[0][name], parts[0][name], rtol=0.01, err_msg=name)


@pytest.mark.thorough
def test_xla_compiles_to_the_same_step(small):
    plain = metrics_of(small(train__clip_norm=100.0))[:2]
    compiled, _, _ = run(small(train__clip_norm=100.0, train__jit_compile=True), steps=2)
    losses = [[m["loss"] for m in metrics] for metrics in (compiled, plain)]
    np.testing.assert_allclose(*losses, rtol=1e-3)
    # Only the first step is compared, as above.
    np.testing.assert_allclose(compiled[0]["gradient_norm"], plain[0]["gradient_norm"], rtol=1e-4)


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("portions, mode", [(1, "parallel"), (2, "parallel"), (2, "sequential")])
def test_scheduled_sampling_predicts_from_the_models_own_predictions(small, portions, mode):
    # With advection, frames depend much on those before them: a gradient that passes through them,
    # or does not, shows.
    options = {"model__advection": 3, "model__decoder_skips": True, "data__horizon": 4}
    options |= {"train__scheduled_sampling": 0.8, "train__scheduled_mode": mode}
    config = small(train__accumulate=portions, **options)
    model = build_model(config.model)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    frames = next(iter(make_dataset(config.data, config.model, "train")))
    seed, rows, first = config.train.seed, range(config.data.batch_size), model.context_frames
    noise = sampling.training_noise(model, rows, config.data.horizon, seed, 0)
    chosen = sampling.training_choices(rows, config.data.horizon, 0.8, seed, 0)
    # Modes differ where chosen frames follow one another. The last frame predicts no further one.
    assert np.any(chosen[:, :-2] & chosen[:, 1:-1]) and not np.all(chosen)
    true = to_float(frames)
    options = {"own": chosen}
    if mode == "parallel":
        seen, predictions = true.numpy(), model.training_terms(true, noise)[1].numpy()
        seen[:, first:][chosen] = predictions[chosen]
        options = {"seen": tf.constant(seen)}
    with tf.GradientTape() as tape:
        expected, _ = model.training_terms(true, noise, **options)
        loss = tf.reduce_mean(sum(expected.values()))
    norm = tf.linalg.global_norm(tape.gradient(loss, model.trainable_variables))
    metrics = make_train_step(model, optimizer, config)(frames, tf.constant(0, tf.int64))
    for name, term in expected.items():
        np.testing.assert_allclose(metrics[name], np.mean(term), rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-3)


@pytest.mark.usefixtures("eagerly")
def test_averages_are_updated_by_the_step(small):
    config = small()
    model = build_model(config.model)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    averages = MovingAverages(model, 0.5)
    before = [w.numpy() for w in averages.weights]
    step = make_train_step(model, optimizer, config, averages)
    for frames in make_dataset(config.data, config.model, "train").take(1):
        step(frames, tf.constant(0, tf.int64))
    for old, new, average in zip(before, averages.weights, averages.averages):
        np.testing.assert_allclose(average, 0.5 * (old + new.numpy()), atol=1e-6)


@pytest.mark.thorough
def test_the_same_batch_again_lowers_the_loss(small):
    """The step lowers the loss on one batch, trained many times."""
    config = small(train__learning_rate=3e-3)
    model = build_model(config.model)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, optimizer, config)
    frames = next(iter(make_dataset(config.data, config.model, "train")))
    losses = [float(step(frames, tf.constant(n, tf.int64))["loss"]) for n in range(40)]
    assert losses[-1] < 0.6 * losses[0]
