"""Models are loaded from presets and saved as presets."""

import json

import keras
import numpy as np
import pytest

import tfvrnn
from tfvrnn import presets
from tfvrnn.config import ModelConfig, UserError
from tfvrnn.models import VRNN, CopyLast, PredNet, VideoPredictor, build_model
from tfvrnn.runs import RunFolder, load_pretrained

TINY = {"image_size": 8, "channels": 1, "width": 8, "groups": 2, "latent_resolutions": (1,)}


@pytest.fixture(scope="module")
def model():
    """Make a model whose weights are not those of a fresh one."""
    model = build_model(ModelConfig(**TINY, reconstruction="gaussian"), horizon=3)
    model.set_weights([weight + 0.5 for weight in model.get_weights()])
    return model


@pytest.mark.thorough
@pytest.mark.parametrize("name", presets.NAMES)
def test_shipped_models_are_those_of_the_programs(name):
    config, expected, _ = load_pretrained(name)
    model = tfvrnn.VideoPredictor.from_preset(name)
    assert name in VideoPredictor.presets and model.horizon == config.data.horizon
    # Keras numbers the names of models that nobody named.
    assert {**model.get_config(), "name": ""} == {**expected.get_config(), "name": ""}
    for weight, same in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_a_folder_of_a_preset_is_no_run_and_says_what_it_is(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"no run in .*; it holds a preset"):
        RunFolder(tmp_path).read_config()


def test_a_preset_gives_the_same_futures(model, tmp_path):
    model.save_to_preset(tmp_path / "tiny")
    again = VRNN.from_preset(tmp_path / "tiny")
    context = np.random.default_rng(0).integers(0, 256, (1, 2, 8, 8, 1), np.uint8)
    first, second = (m.generate(context, seeds=[[1, 2]]) for m in (model, again))
    assert first.shape == (1, 2, 3, 8, 8, 1)
    np.testing.assert_array_equal(first, second)
    card = (tmp_path / "tiny" / "README.md").read_text()
    assert "# VRNN" in card and f"{model.count_params():,} parameters" in card


def test_the_dtype_policy_is_the_callers(model, tmp_path):
    model.save_to_preset(tmp_path)
    half = VideoPredictor.from_preset(tmp_path, dtype="mixed_bfloat16")
    assert half.dtype_policy.name == half.encoder.dtype_policy.name == "mixed_bfloat16"
    assert all(weight.dtype == "float32" for weight in half.weights)


def test_weights_may_be_kept_in_half_precision(model, tmp_path):
    model.save_to_preset(tmp_path, dtype="float16", step=4)
    rounded = VideoPredictor.from_preset(tmp_path)
    for weight, kept in zip(model.get_weights(), rounded.get_weights(), strict=True):
        np.testing.assert_array_equal(weight.astype(np.float16), kept)
    assert presets.read(tmp_path).step == 4


def test_another_class_is_one_line(model, tmp_path):
    model.save_to_preset(tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path} holds no PredNet: its class is tfvrnn>VRNN"):
        PredNet.from_preset(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"registered_name": "tfvrnn>Nothing", "class_name": "Nothing"},
        {"config": {}},
        {"config": 3},
        {"class_name": None, "config": None},
    ],
)
def test_a_configuration_of_something_else_is_one_line(model, tmp_path, change):
    model.save_to_preset(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=f"{tmp_path} holds ") as error:
        VideoPredictor.from_preset(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[1]", "null", '"a"'])
def test_a_configuration_that_is_no_object_is_one_line(model, tmp_path, text):
    model.save_to_preset(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=f"{tmp_path} holds no preset: config.json holds no model"):
        VideoPredictor.from_preset(tmp_path)


def test_weights_of_another_model_are_one_line(model, tmp_path):
    model.save_to_preset(tmp_path)
    build_model(ModelConfig(**TINY | {"width": 16})).save_to_preset(tmp_path / "wide")
    (tmp_path / "wide" / "weights.npz").replace(tmp_path / "weights.npz")
    with pytest.raises(UserError, match=f"{tmp_path} holds no VideoPredictor: "):
        VideoPredictor.from_preset(tmp_path)


def test_no_other_class_is_built(model, tmp_path):
    model.save_to_preset(tmp_path)
    other = keras.saving.serialize_keras_object(keras.layers.Dense(2))
    (tmp_path / "config.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match=r"its class is .*; import the module that defines it"):
        VideoPredictor.from_preset(tmp_path)


def test_a_class_of_a_users_own_is_built_where_it_is_registered(tmp_path):
    @keras.saving.register_keras_serializable(package="mine")
    class Mine(CopyLast):
        pass

    Mine((8, 8, 1), context_frames=2).save_to_preset(tmp_path)
    assert type(VideoPredictor.from_preset(tmp_path)) is Mine


def test_an_unknown_dtype_is_the_callers_mistake(model, tmp_path):
    model.save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="bogus"):
        VideoPredictor.from_preset(tmp_path, dtype="bogus")


def test_a_folder_may_begin_with_the_home(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model.save_to_preset("~/tiny")
    assert (tmp_path / "tiny" / "weights.npz").is_file()
    assert VideoPredictor.from_preset("~/tiny").count_params() == model.count_params()
