"""SVG against NumPy references written from its equations."""

import keras
import numpy as np
import pytest
from reference import conv_same, sigmoid

from tfvrnn.config import ModelConfig, UserError
from tfvrnn.models import SVG, build_model
from tfvrnn.models.svg import StackedLSTM
from tfvrnn.models.svg_networks import SVGDecoder, SVGEncoder
from tfvrnn.sampling import training_noise

SHAPE, FIRST, STEPS, LATENTS = (64, 64, 1), 3, 6, 4


@pytest.fixture(scope="module", params=["learned", "fixed"])
def model(request):
    keras.utils.set_random_seed(0)
    model = SVG(SHAPE, FIRST, latents=LATENTS, learned_prior=request.param == "learned")
    rng = np.random.default_rng(1)
    for weight in model.weights:  # larger than at the start, so that every part matters
        if "variance" not in weight.name and "gamma" not in weight.name:
            weight.assign(weight + rng.normal(0, 0.03, weight.shape))
    return model


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).uniform(size=(2, STEPS, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def noise(model):
    return [z.numpy() for z in training_noise(model, range(2), STEPS - FIRST, 0, 0)]


# The parts


def test_the_lstm_is_the_references(rng):
    layer = StackedLSTM(5, 2, (3,))
    layer.build()
    weights = [np.asarray(w, np.float64) for w in layer.get_weights()]
    x = rng.normal(size=(2, 4, 5)).astype(np.float32)
    states, expected = [[np.zeros((2, 256))] * 2 for _ in range(2)], []
    for t in range(4):
        hidden = x[:, t] @ weights[0] + weights[1]
        for k in range(2):
            kernel, recurrent, bias = weights[2 + 3 * k : 5 + 3 * k]
            i, f, g, o = np.split(hidden @ kernel + states[k][0] @ recurrent + bias, 4, -1)
            cell = sigmoid(f) * states[k][1] + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            states[k] = [hidden, cell]
        expected.append(hidden @ weights[8] + weights[9])
    (found,) = layer.sequence(x)
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=1e-5)
    states, steps = layer.zero_state(2), []
    for t in range(4):
        (head,), states = layer(x[:, t], states)
        steps.append(head)
    np.testing.assert_allclose(np.stack(steps, 1), found, atol=1e-5)


def conv_stride_2(x, kernel, bias):
    """Convolve by a 4x4 kernel at stride 2, with one pixel of padding."""
    n, side, _, _ = x.shape
    x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    y = np.zeros((n, side // 2, side // 2, kernel.shape[-1])) + bias
    for i in range(4):
        for j in range(4):
            y += x[:, i : i + side : 2, j : j + side : 2] @ kernel[i, j]
    return y


def transposed_stride_2(x, kernel, bias):
    """Apply the adjoint of `conv_stride_2`; kernel [4, 4, out, in]."""
    n, side, _, _ = x.shape
    y = np.zeros((n, 2 * side + 2, 2 * side + 2, kernel.shape[2]))
    for i in range(4):
        for j in range(4):
            y[:, i : i + 2 * side : 2, j : j + 2 * side : 2] += x @ kernel[i, j].T
    return y[:, 1:-1, 1:-1] + bias


def normalised(x, weights, slope=0.2):
    gamma, beta, mean, variance = weights
    y = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    return np.tanh(y) if slope is None else np.where(y > 0, y, slope * y)


def randomised(layer, rng, deviation=0.1):
    layer.build()
    for weight in layer.weights:
        positive = "variance" in weight.name or "gamma" in weight.name
        values = rng.normal(0, deviation, weight.shape)
        weight.assign(np.exp(values) if positive else values)
    return [np.asarray(w, np.float64) for w in layer.get_weights()]


def assert_near(found, expected):
    """Compare to within rounding of the largest value, as random weights make large values."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_dcgan_encoder_is_the_references(rng):
    layer = SVGEncoder("dcgan", 3, 10)
    weights = randomised(layer, rng)
    x = rng.uniform(size=(2, 64, 64, 3)).astype(np.float32)
    maps, y = [], x.astype(np.float64)
    for k in range(4):
        kernel, bias, *norm = weights[6 * k : 6 * k + 6]
        y = normalised(conv_stride_2(y, kernel, bias), norm)
        maps.append(y)
    kernel, bias, *norm = weights[24:]
    vector = normalised(np.einsum("nijc,ijcf->nf", y, kernel) + bias, norm, None)
    found, skips = layer(x)
    np.testing.assert_allclose(found, vector, atol=1e-4)
    for ours, theirs in zip(skips, maps):
        assert_near(ours, theirs)


def test_the_dcgan_decoder_is_the_references(rng):
    layer = SVGDecoder("dcgan", 3, 10)
    weights = randomised(layer, rng)
    vector = rng.normal(size=(2, 10)).astype(np.float32)
    skips = [
        rng.normal(size=(2, side, side, width)).astype(np.float32)
        for side, width in ((32, 64), (16, 128), (8, 256), (4, 512))
    ]
    kernel, bias, *norm = weights[:6]
    y = normalised(np.einsum("nc,ijfc->nijf", vector, kernel) + bias, norm)
    for k in range(3):
        kernel, bias, *norm = weights[6 + 6 * k : 12 + 6 * k]
        y = np.concatenate([y, skips[3 - k]], -1)
        y = normalised(transposed_stride_2(y, kernel, bias), norm)
    y = transposed_stride_2(np.concatenate([y, skips[0]], -1), *weights[24:])
    np.testing.assert_allclose(layer(vector, skips), sigmoid(y), atol=1e-4)


def pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def up(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.thorough
def test_the_vgg_encoder_and_decoder_are_the_references(rng):
    encoder, decoder = SVGEncoder("vgg", 1, 10), SVGDecoder("vgg", 1, 10)
    weights = randomised(encoder, rng, 0.03)
    x = rng.uniform(size=(1, 64, 64, 1)).astype(np.float32)
    maps, y, at = [], x.astype(np.float64), 0
    for block, convs in enumerate((2, 2, 3, 3)):
        y = pool(y) if block else y
        for _ in range(convs):
            kernel, bias, *norm = weights[at : at + 6]
            y, at = normalised(conv_same(y, kernel, bias), norm), at + 6
        maps.append(y)
    kernel, bias, *norm = weights[at:]
    vector = normalised(np.einsum("nijc,ijcf->nf", pool(y), kernel) + bias, norm, None)
    found, skips = encoder(x)
    np.testing.assert_allclose(found, vector, atol=1e-4)
    assert_near(skips[3], maps[3])

    weights = randomised(decoder, rng, 0.03)
    kernel, bias, *norm = weights[:6]
    y, at = normalised(np.einsum("nc,ijfc->nijf", vector, kernel) + bias, norm), 6
    for block, convs in enumerate((3, 3, 2, 1)):
        y = np.concatenate([up(y), maps[3 - block]], -1)
        for _ in range(convs):
            kernel, bias, *norm = weights[at : at + 6]
            y, at = normalised(conv_same(y, kernel, bias), norm), at + 6
    # A transposed 3x3 at stride 1 is a convolution with the kernel rotated by 180 degrees.
    kernel = weights[at][::-1, ::-1].transpose(0, 1, 3, 2)
    expected = sigmoid(conv_same(y, kernel, weights[at + 1]))
    np.testing.assert_allclose(decoder(found, skips), expected, atol=1e-3)


def test_batch_norm_learns_its_statistics_only_in_training():
    model = SVG(SHAPE, 2, latents=2)
    statistics = [w for w in model.non_trainable_variables if "moving" in w.path]
    before = [w.numpy() for w in statistics]
    frames = np.random.default_rng(0).uniform(size=(2, 4, *SHAPE)).astype(np.float32)
    noise = [np.zeros((2, 3, 1, 1, 2), np.float32)]
    model.training_terms(frames, noise)
    assert all((a == w.numpy()).all() for a, w in zip(before, statistics))
    model.training_terms(frames, noise, training=True)
    changed = [(a != w.numpy()).any() for a, w in zip(before, statistics)]
    assert all(changed) and len(changed) == 2 * 9  # mean and variance


# The model


def test_inferred_latents_rendered_step_by_step_give_the_frames_of_training_terms(
    model, frames, noise
):
    _, predictions = model.training_terms(frames, noise)
    latents, _ = model.infer_latents(frames, noise)
    assert latents[0].shape == (2, STEPS - FIRST, 1, 1, LATENTS)
    state = model.begin(frames[:, :FIRST], noise)
    for t in range(STEPS - FIRST):
        state, frame = model.render(state, [z[:, t] for z in latents])
        np.testing.assert_allclose(frame, predictions[:, t], atol=1e-4)
        state = model.observe(state, frames[:, FIRST + t])


def test_terms_count_context_steps_and_sum_latent_kl(model, frames, noise):
    terms, predictions = model.training_terms(frames, noise)
    assert set(terms) == {"reconstruction", "kl_1"} and predictions.shape[1] == STEPS - FIRST
    kl = model.latent_kl(frames, noise)[1]
    assert kl.shape == (2, STEPS - 1, 1, 1, LATENTS)
    assert model.counted_frames(STEPS - FIRST) == STEPS - 1
    np.testing.assert_allclose(terms["kl_1"], np.sum(kl, axis=(1, 2, 3, 4)), rtol=1e-5)
    # The term counts steps 2..T. Without the predictions' part, the context's own is left.
    squares = np.square(predictions - frames[:, FIRST:]).mean(axis=(2, 3, 4)).sum(axis=1)
    rest = terms["reconstruction"].numpy() - squares
    assert (rest > 0.01).all()
    longer = SVG(SHAPE, FIRST - 1, latents=LATENTS, learned_prior=model.learned_prior)
    longer.set_weights(model.get_weights())
    _, with_context = longer.training_terms(frames, noise)
    first = np.square(with_context[:, 0] - frames[:, FIRST - 1]).mean(axis=(1, 2, 3))
    assert (rest > first * 0.99).all()


def test_begin_render_observe_give_the_frames_of_training_terms(model, frames, noise):
    _, predictions = model.training_terms(frames, noise)
    vectors, _ = model._encode(frames)
    z = model._distributions(vectors)[0].sample(noise[0][:, :, 0, 0])
    state = model.begin(frames[:, :FIRST], [noise[0][:, : model.context_draws]])
    for t in range(FIRST, STEPS):
        state, _ = model.draw(state, None, mean=True)
        state, frame = model.render(state, [z[:, t - 1][:, None, None]])
        np.testing.assert_allclose(frame, predictions[:, t - FIRST], atol=1e-4)
        state = model.observe(state, frames[:, t])


def test_skips_are_the_last_context_frames_from_then_on(model, frames):
    maps = frames[:, :, :1, :1, :1]
    lent = model._lend(maps).numpy()
    for i in range(2, STEPS + 1):  # number of the predicted frame, from 1
        np.testing.assert_array_equal(lent[:, i - 2], maps[:, min(i - 1, FIRST) - 1])


def test_changing_a_frame_leaves_predictions_up_to_it_unchanged_but_for_its_latent(
    model, frames, noise
):
    changed = frames.copy()
    changed[:, FIRST + 1 :] = 1 - changed[:, FIRST + 1 :]
    before, after = (model.training_terms(x, noise)[1].numpy() for x in (frames, changed))
    np.testing.assert_allclose(before[:, 0], after[:, 0], atol=1e-5)
    assert np.abs(before[:, 2] - after[:, 2]).max() > 1e-5


def test_the_prior(model, frames, noise):
    kl = model.latent_kl(frames, noise)[1].numpy()
    assert (kl.sum(axis=(1, 2, 3, 4)) > 0).all()
    state = model.begin(frames[:, :FIRST])
    one = np.full((2, 1, 1, LATENTS), 2.0, np.float32)
    _, (z,) = model.draw(state, [one])
    if model.learned_prior:
        assert np.abs(z - one).max() > 1e-4
    else:
        np.testing.assert_array_equal(z, one)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"channels": 1, "svg_latents": 10}, 12_614_057),
        ({"svg_encoder": "vgg", "svg_latents": 64}, 22_838_659),
        ({"svg_prior": "fixed"}, 12_056_727),
    ],
)
def test_number_of_parameters(options, parameters):
    config = ModelConfig(family="svg", context_frames=3, **options)
    found = build_model(config).count_params()
    assert found == parameters, found


def test_other_sizes_are_refused():
    with pytest.raises(UserError, match="must be 64 for svg"):
        ModelConfig(family="svg", image_size=32)
