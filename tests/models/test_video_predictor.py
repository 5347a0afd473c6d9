"""Every model is a model of Keras: names, files, calls, futures."""

import json
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import thorough

from tfvrnn import sampling
from tfvrnn.config import ModelConfig
from tfvrnn.models import SVG, VRNN, PredNet, build_model

SMALL = dict(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1, 4))


def awakened(config):
    """Make a model whose last scales do not start at 0, where all noise would have one size."""
    model = build_model(config, seed=2, horizon=3)
    for level in model.prior_levels:
        level.head.norm.scale.assign(np.full(level.head.norm.scale.shape, 1.0))
    return model


@pytest.fixture(scope="module")
def model():
    return awakened(ModelConfig(**SMALL))


@pytest.fixture
def context(rng):
    return rng.integers(0, 256, size=(5, 2, 8, 8, 1)).astype(np.uint8)


@pytest.fixture
def frames(rng):
    return rng.integers(0, 256, size=(2, 4, 8, 8, 1)).astype(np.uint8)


@pytest.fixture
def summary(monkeypatch):
    """Print the expanded summary of a model, on a terminal that is wide enough."""
    monkeypatch.setenv("COLUMNS", "100")

    def of(model):
        lines = []
        model.summary(print_fn=lines.append, line_length=100, expand_nested=True)
        return "\n".join(lines)

    return of


VRNN_PARTS = [
    "encoder", "decoder", "prior_1", "prior_4", "posterior_1", "posterior_4",
    "initial_state_decoder_1", "initial_state_decoder_4", "initial_state_decoder_8",
    "initial_state_prior_1", "initial_state_prior_4",
    "initial_state_posterior_1", "initial_state_posterior_4", "likelihood",
]  # fmt: skip


@pytest.mark.parametrize(
    "options,names",
    [
        (SMALL, VRNN_PARTS),
        (
            dict(family="svg", channels=1, svg_encoder="vgg"),
            ["encoder", "decoder", "predictor", "posterior", "prior"],
        ),
        (
            dict(family="prednet", image_size=16, prednet_stacks=(2, 2, 2)),
            ["unit_16", "unit_8", "unit_4", "unit_2"],
        ),
    ],
)
def test_parts_are_named_for_what_they_are_and_summaries_tell_their_shapes(options, names, summary):
    model = build_model(ModelConfig(**options))
    assert [layer.name for layer in model.layers] == names
    text = summary(model)
    assert "?" not in text
    for layer in model.layers:
        assert f"{layer.count_params():,}" in text


def test_an_expanded_summary_reads_from_the_top_map_to_the_image(model, summary):
    rows = [row.split("│")[1:4] for row in summary(model).splitlines() if "└ " in row]
    rows = [(a.replace("└", "").split()[0], b.strip()) for a, b, _ in rows]
    assert rows == [
        ("encoder_8", "(None, 8, 8, 8)"),
        ("collapse", "(None, 1, 1, 8)"),
        ("encoder_1", "(None, 1, 1, 8)"),
        ("decoder_1", "(None, 1, 1, 8)"),
        ("up_4", "(None, 4, 4, 8)"),
        ("decoder_4", "(None, 4, 4, 8)"),
        ("up_8", "(None, 8, 8, 8)"),
        ("decoder_8", "(None, 8, 8, 8)"),
        ("refine", "(None, 8, 8, 8)"),
        ("to_image", "(None, 8, 8, 1)"),
    ]


def test_weights_keep_their_order(model):
    """Run folders and shipped weights are read by position."""
    parts = [weight.path.split("/")[1] for weight in model.weights]
    assert list(dict.fromkeys(parts)) == VRNN_PARTS[:-1]  # the likelihood here has none
    decoder = [weight.path.split("/")[2] for weight in model.decoder.weights]
    levels = ["1", "4", "8"]
    expected = [f"decoder_{r}" for r in levels] + [f"up_{r}" for r in levels[1:]]
    assert list(dict.fromkeys(decoder)) == [*expected, "refine", "to_image"]


@pytest.mark.parametrize(
    "policy", ["float32", thorough("mixed_bfloat16"), thorough("mixed_float16")]
)
def test_a_call_gives_the_training_terms_of_bytes_and_of_numbers(frames, policy, rng):
    model = build_model(ModelConfig(**SMALL), policy)
    noise = [rng.normal(size=shape).astype(np.float32) for shape in model.noise_shapes(2, 2)]
    numbers = tf.constant(frames, tf.float32) / 255.0
    expected = keras.tree.flatten(model.training_terms(numbers, noise))
    for given in (frames, numbers):
        found = keras.tree.flatten(model(given, noise))
        for a, b in zip(expected, found, strict=True):
            assert a.dtype == b.dtype == tf.float32
            np.testing.assert_array_equal(a, b)


def test_threads_build_equal_models():
    config = ModelConfig(**SMALL)
    with ThreadPoolExecutor(3) as threads:
        models = list(threads.map(lambda _: build_model(config), range(3)))
    for weights in zip(build_model(config).get_weights(), *(one.get_weights() for one in models)):
        for found in weights[1:]:
            np.testing.assert_array_equal(found, weights[0])


@pytest.mark.thorough
def test_a_call_without_noise_draws_it_from_the_models_seed(frames):
    first, second, other = (build_model(ModelConfig(**SMALL)) for _ in range(3))
    other.set_weights(first.get_weights())
    other.seed_generator.state.assign([7, 0])
    terms = [model(frames)[0]["reconstruction"] for model in (first, first, second, other)]
    np.testing.assert_array_equal(terms[0], terms[2])
    assert np.all(np.not_equal(terms[0], terms[1])) and np.all(np.not_equal(terms[0], terms[3]))


def test_generate_is_sample_videos_to_the_bit(model, context):
    seeds = np.arange(10).reshape(5, 2)
    for given in (context, list(context), context.astype(np.float32) / 255):
        found = model.generate(given, 4, seeds, temperature=0.7)
        expected = sampling.sample_videos(model, np.asarray(given), 4, seeds, temperature=0.7)
        np.testing.assert_array_equal(found, expected)
    mean = model.generate(context, mean=True)
    np.testing.assert_array_equal(mean, sampling.sample_videos(model, context, 3, mean=True))


def test_generate_without_seeds_draws_fresh_ones_from_the_models_own(model, context):
    model.seed_generator.state.assign([0, 0])
    first, second = model.generate(context), model.generate(context)
    assert first.shape == (5, 3, 8, 8, 1)
    assert np.abs(first - second).max() > 1e-3
    model.seed_generator.state.assign([0, 0])
    np.testing.assert_array_equal(first, model.generate(context))


def test_generate_refuses_what_sample_videos_refuses(model, context):
    with pytest.raises(ValueError, match="`horizon` must be an integer, at least 1"):
        model.generate(context, 0, [1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match=r"B = 5. Received: shape \(3,\)"):
        model.generate(context, 1, [1, 2, 3])
    with pytest.raises(ValueError, match="`context` must be"):
        model.generate(context[:, :1])


def test_predict_takes_its_arguments_in_the_order_of_keras(context):
    copy = build_model(ModelConfig(**SMALL, family="copy_last"), horizon=3)
    found = copy.predict(context, 2, 0, 1, None)  # batch_size, verbose, steps, callbacks
    np.testing.assert_array_equal(found, copy.predict(context[:2], verbose=0))
    with pytest.raises(ValueError, match="`predict` calls no `callbacks`"):
        copy.predict(context, callbacks=[keras.callbacks.Callback()])


def test_numpy_integers_are_seeds():
    copy = build_model(ModelConfig(**SMALL, family="copy_last"), seed=np.int64(3))
    assert json.loads(json.dumps(copy.get_config()))["seed"] == 3


@pytest.mark.thorough
def test_predict_is_one_future_a_row_whatever_the_batches(model, context):
    whole = model.predict(context, verbose=0)
    np.testing.assert_array_equal(whole, model.generate(context, 3, np.arange(5)))
    batches = model.predict(context, batch_size=3, verbose=0)
    np.testing.assert_allclose(batches, whole, atol=1e-5)
    data = tf.data.Dataset.from_tensor_slices(context).batch(3)
    np.testing.assert_array_equal(model.predict(data, verbose=0), batches)
    np.testing.assert_array_equal(model.predict(data, verbose=0, steps=1), batches[:3])
    moved = model.predict(context[1:], 3, seed=1, verbose=0)
    np.testing.assert_allclose(moved, whole[1:], atol=1e-5)
    assert model.predict(context[:1], horizon=5, verbose=0).shape == (1, 5, 8, 8, 1)
    with pytest.raises(ValueError, match="`batch_size` must be an integer, at least 1"):
        model.predict(context, batch_size=0, verbose=0)


@pytest.mark.parametrize(
    "arguments,message",
    [
        (dict(batch_size=2.0), "`batch_size` must be an integer, at least 1. Received: 2.0"),
        (dict(steps=-1), "`steps` must be an integer, at least 1. Received: -1"),
        (dict(x={"x": 1}), "`x` must hold contexts. Received: a dict"),
        (dict(x="abc"), "`x` must hold contexts. Received: a str"),
        (dict(x=None), "`x` must hold contexts. Received: a NoneType"),
    ],
)
def test_wrong_arguments_of_predict_are_refused(model, context, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.predict(**{"x": context, "verbose": 0} | arguments)


def test_generate_refuses_what_is_no_array(model, context):
    for data in (tf.data.Dataset.from_tensors(context), {"x": context}, None):
        with pytest.raises(ValueError, match="Videos must be an array"):
            model.generate(data)


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_a_file_that_could_not_be_loaded_is_not_saved(model, tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in \.keras"):
        model.save(tmp_path / name)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "options",
    [
        SMALL | dict(reconstruction="laplace"),
        dict(family="svg", channels=1),
        dict(family="copy_last", image_size=16),
    ],
)
def test_a_file_keeps_the_model_and_all_that_follows_the_data(options, tmp_path, rng):
    model = build_model(ModelConfig(**options), horizon=2, seed=5)
    for weight in model.non_trainable_weights:  # scales or statistics
        weight.assign(rng.uniform(0.5, 1.0, weight.shape))
    model.draw_noise(1, 1)  # moves the generator
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model) and not loaded.compiled
    assert loaded.get_config() == model.get_config() and loaded.horizon == 2
    np.testing.assert_array_equal(loaded.seed_generator.state, model.seed_generator.state)
    assert [w.path for w in loaded.weights] == [w.path for w in model.weights]
    context = rng.uniform(size=(2, model.context_frames, *model.image_shape))
    np.testing.assert_array_equal(
        *(one.predict(context.astype(np.float32), verbose=0) for one in (model, loaded))
    )
    frames = rng.uniform(size=(2, model.context_frames + 2, *model.image_shape))
    terms = [one(frames.astype(np.float32))[0]["reconstruction"] for one in (model, loaded)]
    np.testing.assert_array_equal(*terms)


@pytest.mark.thorough
def test_keras_exports_the_call(frames, tmp_path):
    # One level is traced faster than two.
    model = awakened(ModelConfig(**SMALL | dict(latent_resolutions=(1,))))
    keras.utils.disable_interactive_logging()
    numbers = np.concatenate([frames, frames[:, :1]], axis=1).astype(np.float32) / 255
    model.seed_generator.state.assign([11, 0])
    model.export(tmp_path / "export")  # videos of the model's own horizon, any number
    assert model.seed_generator.state[1] == 0
    exported = tf.saved_model.load(str(tmp_path / "export"))
    for _ in range(2):  # each call draws new noise
        terms, predictions = model(numbers)
        found = exported.signatures["serving_default"](tf.constant(numbers))
        assert set(found) == {"reconstruction", "kl_1", "predictions"}
        assert found["predictions"].shape == (2, 3, 8, 8, 1)
        for name, expected in {**terms, "predictions": predictions}.items():
            np.testing.assert_allclose(found[name], expected, atol=1e-5, rtol=1e-5, err_msg=name)


def test_a_batch_is_predicted_as_in_predict(model, context):
    expected = model.predict(context, verbose=0)
    np.testing.assert_allclose(model.predict_on_batch(context), expected, atol=1e-6)


def vrnn(groups=2, **options):
    return VRNN((8, 8, 1), {8: 8, 4: 8, 1: 8}, 2, (1,), groups=groups, **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SVG((64, 64, 1), 2, encoder="DCGAN"), "`encoder` must be dcgan or vgg.*'DCGAN'"),
        (lambda: PredNet((8, 8, 1), 2, loss="L1"), "`loss` must be L0 or Lall.*'L1'"),
        (lambda: PredNet((8, 8, 1), 2, feedback="prev"), "must be previous or own.*'prev'"),
        (lambda: vrnn(latent_feedback="both"), "none or own"),
        (lambda: vrnn(reconstruction="mse"), "one of l1, l2, bc"),
        (lambda: vrnn(groups=8), "must have several values"),
    ],
)
def test_unknown_words_and_groups_of_one_value_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.thorough
def test_channels_may_be_given_in_any_order(model, context):
    config = model.get_config()
    config["channels"] = dict(sorted(dict(config["channels"]).items()))
    again = type(model).from_config(config)
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.predict(context, verbose=0), model.predict(context, verbose=0))
