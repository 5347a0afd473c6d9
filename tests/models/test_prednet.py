"""PredNet against a NumPy reference written from its equations."""

import keras
import numpy as np
import pytest
from reference import conv_same

from tfvrnn.config import ModelConfig
from tfvrnn.models import PredNet, build_model

STACKS = (3, 4, 5)
SHAPE, STEPS, FIRST = (16, 16, 1), 4, 2


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = PredNet(SHAPE, FIRST, stacks=STACKS)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.2, weight.shape))
    for unit in model.units:  # no ReLU is dead
        unit.predict.bias.assign(0.3 * np.ones(unit.predict.bias.shape))
    return model


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).uniform(size=(2, STEPS, *SHAPE)).astype(np.float32)


def hard(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def relu(x):
    return np.maximum(x, 0)


def up(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def reference(model, frames, feedback=None):
    """Compute (predictions, errors by time and layer), float64.

    With `feedback`, each frame after the context is replaced by the prediction of this step ('own')
    or of the last one ('previous').
    """
    weights = [[np.asarray(w, np.float64) for w in unit.get_weights()] for unit in model.units]
    sizes, side = (SHAPE[-1], *STACKS), SHAPE[0]
    r, c, e = [], [], []
    for size in sizes:
        r.append(np.zeros((len(frames), side, side, size)))
        c.append(np.zeros_like(r[-1]))
        e.append(np.zeros((len(frames), side, side, 2 * size)))
        side //= 2
    predictions, errors = [], []
    for t in range(frames.shape[1]):
        for level in (3, 2, 1, 0):
            inputs = [r[level], e[level]] + ([up(r[level + 1])] if level < 3 else [])
            gates = conv_same(np.concatenate(inputs, -1), *weights[level][:2])
            i, f, o, g = np.split(gates, 4, -1)
            c[level] = hard(f) * c[level] + hard(i) * np.tanh(g)
            r[level] = hard(o) * np.tanh(c[level])
        predicted = np.minimum(relu(conv_same(r[0], *weights[0][2:4])), 1)
        predictions.append(predicted)
        a = frames[:, t].astype(np.float64)
        if feedback and t >= FIRST:
            a = predictions[t if feedback == "own" else t - 1]
        for level in range(4):
            ahat = relu(conv_same(r[level], *weights[level][2:4]))
            ahat = np.minimum(ahat, 1) if level == 0 else ahat
            e[level] = np.concatenate([relu(ahat - a), relu(a - ahat)], -1)
            if level < 3:
                a = pool(relu(conv_same(e[level], *weights[level][4:6])))
        errors.append([x.mean(axis=(1, 2, 3)) for x in e])
    return np.stack(predictions, 1), np.array(errors)


@pytest.mark.parametrize(("loss", "weights"), [("L0", [1, 0, 0, 0]), ("Lall", [1, 0.1, 0.1, 0.1])])
def test_terms_and_predictions_are_the_references(model, frames, loss, weights):
    other = PredNet(SHAPE, FIRST, loss=loss, stacks=STACKS)
    other.set_weights(model.get_weights())
    terms, predictions = other.training_terms(frames, [])
    expected, errors_TLB = reference(model, frames)
    np.testing.assert_allclose(predictions, expected[:, FIRST:], atol=1e-5)
    over_time = np.array([0, *[1 / (STEPS - 1)] * (STEPS - 1)])
    expected = np.einsum("t,tlb,l->b", over_time, errors_TLB, weights)
    assert set(terms) == {"reconstruction"}
    np.testing.assert_allclose(terms["reconstruction"], expected, rtol=1e-5)


@pytest.mark.parametrize("feedback", ["previous", "own"])
def test_the_second_phase_feeds_itself_after_the_context(model, frames, feedback):
    second = PredNet(SHAPE, FIRST, extrapolate=True, feedback=feedback, stacks=STACKS)
    second.set_weights(model.get_weights())
    terms, predictions = second.training_terms(frames, [])
    expected, _ = reference(model, frames, feedback)
    np.testing.assert_allclose(predictions, expected[:, FIRST:], atol=1e-5)
    loss = 0.5 * np.abs(expected[:, 1:] - frames[:, 1:]).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(terms["reconstruction"], loss, rtol=1e-5)
    # Sampling does the same.
    state, rolled = second.begin(frames[:, :FIRST]), []
    for _ in range(STEPS - FIRST):
        state, frame = second.step(state, None, mean=True)
        rolled.append(frame)
    np.testing.assert_allclose(np.stack(rolled, 1), predictions, atol=1e-5)


def test_the_official_feedback_is_the_default_and_differs_from_its_own(model, frames):
    assert build_model(ModelConfig(family="prednet", image_size=8)).feedback == "previous"
    previous, own = (reference(model, frames, feedback)[0] for feedback in ("previous", "own"))
    np.testing.assert_array_equal(previous[:, :3], own[:, :3])
    assert np.abs(previous[:, 3] - own[:, 3]).max() > 1e-3


def test_begin_render_observe_give_the_frames_of_training_terms(model, frames):
    _, predictions = model.training_terms(frames, [])
    state = model.begin(frames[:, :FIRST])
    for t in range(FIRST, STEPS):
        state, frame = model.render(state, [])
        np.testing.assert_allclose(frame, predictions[:, t - FIRST], atol=1e-5)
        state = model.observe(state, frames[:, t])


def test_changing_a_frame_leaves_predictions_up_to_it_unchanged(model, frames):
    changed = frames.copy()
    changed[:, 2] = 1 - changed[:, 2]
    before, after = (model.training_terms(x, [])[1].numpy() for x in (frames, changed))
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    assert np.abs(before[:, 1] - after[:, 1]).max() > 1e-4


def test_number_of_parameters_and_the_copys_error(frames):
    assert build_model(ModelConfig(family="prednet")).count_params() == 6_915_948
    model = PredNet(SHAPE, FIRST, stacks=STACKS)
    copied = np.repeat(frames[:, 1:2], 2, axis=1)
    expected = np.abs(frames[:, 2:] - copied).mean(axis=(1, 2, 3, 4)) / 2
    np.testing.assert_allclose(
        model.reconstruction_term(frames[:, 2:], copied), expected, rtol=1e-5
    )
    second_phase = PredNet(SHAPE, FIRST, stacks=STACKS, extrapolate=True)
    np.testing.assert_allclose(
        second_phase.reconstruction_term(frames[:, 2:], copied), expected, rtol=1e-5
    )
    assert model.counted_frames(7) == 1  # a mean over time


def test_all_layers_above_the_image_count_a_tenth(rng):
    frames = rng.random((2, 3, 16, 16, 1), np.float32)
    model = PredNet((16, 16, 1), 1, stacks=(2, 2, 2, 2))
    state = model.begin(frames[:, :1])
    expected = [np.mean(error, axis=(1, 2, 3)) for error in state.error]
    found = model._weighted_error(state.error)
    np.testing.assert_allclose(found, expected[0] + 0.1 * sum(expected[1:]), rtol=1e-5)
    assert len(expected) == 5 and min(part.min() for part in expected) > 0
