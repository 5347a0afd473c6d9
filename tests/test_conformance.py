"""Run the same checks on every row of the conformance table."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance import ROWS, flat, make, make_inputs, map_shapes
from marks import thorough

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")

# The row "vrnn" takes longest. tests/models/test_vrnn.py tests that model, too.
each = pytest.mark.parametrize("name", [thorough(n) if n == "vrnn" else n for n in ROWS])


@each
def test_shapes_and_number_of_weights(name):
    layer = make(name)
    outputs = layer(*make_inputs(name))
    found = [leaf.shape for leaf in flat(outputs)]
    expected = keras.tree.flatten(map_shapes(np.zeros, ROWS[name].outputs))
    assert found == [leaf.shape for leaf in expected]
    assert len(layer.weights) == ROWS[name].weights


@each
def test_predicted_shapes_are_those_of_a_call(name):
    layer, inputs = make(name), make_inputs(name)
    if "compute_output_shape" not in vars(type(layer)):
        pytest.skip("computes no shapes of its own")
    told = layer.compute_output_shape(map_shapes(tuple, ROWS[name].inputs[0]))
    found = keras.tree.map_structure(lambda x: tuple(x.shape), layer(*inputs))
    assert keras.tree.flatten(told) == keras.tree.flatten(found)
    assert type(told) is type(found)


@each
def test_building_makes_the_weights_of_the_first_call(name):
    if ROWS[name].build is None:
        pytest.skip("built by its constructor")
    called = ROWS[name].make("float32")
    called(*make_inputs(name))
    built = make(name)
    assert [w.shape for w in called.weights] == [w.shape for w in built.weights]


@each
def test_no_two_weights_begin_alike(name):
    # Weights of one shared initializer begin alike: it gives the same values each time.
    weights = [np.ravel(weight) for weight in make(name).weights if np.std(weight)]
    beginnings = {tuple(weight[:3]) for weight in weights}
    assert len(beginnings) == len(weights)


@each
def test_serialised_it_is_the_same_function(name):
    layer = make(name)
    serialised = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert serialised["registered_name"] == f"tfvrnn>{type(layer).__name__}"
    copy = keras.saving.deserialize_keras_object(serialised)
    assert copy.get_config() == layer.get_config()
    assert [w.path for w in copy.weights] == [w.path for w in layer.weights]
    copy.set_weights(layer.get_weights())
    inputs = make_inputs(name)
    for a, b in zip(flat(layer(*inputs)), flat(copy(*inputs))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.build is None])
def test_a_model_fits_and_its_file_continues_where_it_was(name, tmp_path):
    model, inputs = make(name), make_inputs(name)
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)
    before = model.get_weights()
    if model.trainable_weights:
        logs = model.train_on_batch(inputs[0], return_dict=True)
        expected = [f"kl_{resolution}" for resolution in model.latent_resolutions]
        assert set(logs) == {"loss", "negative_elbo", "reconstruction", "kl", *expected}
        assert all(np.isfinite(value) for value in logs.values())
        changed = [np.any(a != b) for a, b in zip(before, model.get_weights())]
        assert np.mean(changed) > 0.5
    else:
        with pytest.raises(ValueError, match="nothing to learn"):
            model.train_on_batch(inputs[0])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.compiled and loaded.optimizer.iterations == bool(model.trainable_weights)
    for a, b in zip(flat(model(*inputs)), flat(loaded(*inputs)), strict=True):
        np.testing.assert_array_equal(a, b)


@each
@pytest.mark.parametrize("policy", [*POLICIES[:2], thorough(POLICIES[2])])
def test_finite_and_near_float32_under_every_policy(name, policy):
    exact, layer = make(name), make(name, policy)
    layer.set_weights(exact.get_weights())
    inputs = make_inputs(name)
    for a, b in zip(flat(exact(*inputs)), flat(layer(*inputs))):
        assert np.all(np.isfinite(b))
        # Half precision keeps 8 (11) bits. A handful of layers lose a few of them.
        bound = {"float32": 1e-6, "mixed_bfloat16": 0.15, "mixed_float16": 0.02}[policy]
        assert np.abs(a - b).max() <= bound * max(1.0, np.abs(a).max())
    assert all(w.dtype == "float32" for w in layer.weights)


@pytest.fixture
def other_settings():
    """Change the settings that a user may have in ~/.keras/keras.json."""
    was = keras.config.image_data_format(), keras.config.floatx()

    def set_both(data_format, floatx):
        keras.config.set_image_data_format(data_format)
        keras.config.set_floatx(floatx)

    yield lambda: set_both("channels_first", "float64")
    set_both(*was)


@pytest.mark.thorough
@each
def test_the_users_settings_of_keras_change_nothing(name, other_settings):
    first, inputs = make(name), make_inputs(name)
    expected = keras.tree.flatten(first(*inputs))
    other_settings()
    layer = make(name)
    layer.set_weights(first.get_weights())
    for a, b in zip(expected, keras.tree.flatten(layer(*inputs)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.thorough
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
    # Gradients of a model's hundreds of normalisations would take most of the time.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=bool(ROWS[name].build))
    tf.saved_model.save(module, str(tmp_path), options=options)
    restored = tf.saved_model.load(str(tmp_path))
    for a, b, c in zip(flat(eager), flat(graph), flat(restored.call(*leaves))):
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(a, c, atol=1e-5, rtol=1e-5)
