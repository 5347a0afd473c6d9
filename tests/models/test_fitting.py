"""`compile`, `fit` and `evaluate`."""

import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import thorough

from tfvrnn import sampling
from tfvrnn.config import Config, DataConfig, ModelConfig, TrainConfig
from tfvrnn.models import PredNet, build_model
from tfvrnn.training.step import make_train_step

SMALL = dict(
    image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1,), reconstruction="gaussian"
)
COPY = dict(family="copy_last", image_size=8, channels=1)
NAMES = {"loss", "negative_elbo", "reconstruction", "kl", "kl_1"}


@pytest.fixture
def frames(rng):
    return rng.integers(0, 256, size=(5, 4, 8, 8, 1)).astype(np.uint8)


def make(optimizer=None, policy="float32", **options):
    model = build_model(ModelConfig(**SMALL), policy)
    model.compile(optimizer or keras.optimizers.SGD(1e-4), **options)
    return model


@pytest.mark.parametrize("probability", [0.0, thorough(0.8)])
def test_a_step_of_fit_is_a_step_of_the_train_step(probability, rng, monkeypatch):
    """Equal noise gives equal losses, weights and scale. SGD is used, as Adam enlarges rounding."""
    frames = rng.integers(0, 256, size=(2, 6, 8, 8, 1)).astype(np.uint8)
    options = dict(beta=0.5, fine_beta=3.0, free_nats=1e-5, scheduled_sampling=probability)
    options |= {"scheduled_mode": "sequential"}
    config = Config(
        model=ModelConfig(**SMALL | {"latent_resolutions": (1, 4)}),
        data=DataConfig(horizon=4, batch_size=2),
        train=TrainConfig(**options),
    )
    model, reference = build_model(config.model), build_model(config.model)
    model.compile(keras.optimizers.SGD(1e-4), **options)
    for one, other in zip(model.trainable_variables, reference.trainable_variables):
        one.assign_add(rng.normal(scale=0.1, size=one.shape))  # else the KL is almost 0
        other.assign(one)
    optimizer = keras.optimizers.SGD(1e-4)
    optimizer.build(reference.trainable_variables)
    step = make_train_step(reference, optimizer, config)
    noise = sampling.training_noise(model, tf.range(2), 4, config.train.seed, 0)
    own = sampling.training_choices(tf.range(2), 4, probability, config.train.seed, 0)
    # Modes differ where chosen frames follow one another. The last frame is never seen.
    assert probability == 0.0 or np.any(own[:, :-2] & own[:, 1:-1])
    monkeypatch.setattr(model, "draw_noise", lambda batch, steps: noise)
    monkeypatch.setattr(model, "draw_choices", lambda batch, steps: own)
    for _ in range(2):
        expected = step(frames, tf.constant(0, tf.int64))
        found = model.train_on_batch(frames, return_dict=True)
        assert set(found) == NAMES | {"kl_4"}
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, err_msg=name)
    for a, b in zip(model.weights, reference.weights):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert float(model.likelihood.error[0]) != 0.0625


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Train two epochs with all callbacks and validation: (model, history, folder, generator)."""
    folder, rng = tmp_path_factory.mktemp("fitted"), np.random.default_rng(0)
    frames = rng.integers(0, 256, size=(5, 4, 8, 8, 1)).astype(np.uint8)
    model = make(keras.optimizers.Adam(1e-3))
    callbacks = [
        keras.callbacks.ModelCheckpoint(folder / "best.keras", "val_loss", save_best_only=True),
        keras.callbacks.BackupAndRestore(folder / "backup", delete_checkpoint=False),
        keras.callbacks.TensorBoard(folder / "board"),
        keras.callbacks.EarlyStopping("val_loss", min_delta=1e9, patience=1),
    ]
    history = model.fit(
        frames, batch_size=2, epochs=5, validation_data=frames[:3], callbacks=callbacks, verbose=0
    )
    return model, history.history, folder, model.seed_generator.state.numpy()


def test_fit_lowers_the_loss_and_logs_every_term(fitted):
    model, history, *_ = fitted
    assert set(history) == NAMES | {f"val_{name}" for name in NAMES}
    assert len(history["loss"]) == 2  # stopped early: nothing improves by 1e9
    assert history["loss"][1] < history["loss"][0]
    assert history["val_kl"] == history["val_kl_1"]
    assert 0 < float(model.likelihood.error[0]) < 0.1 and float(model.likelihood.error[0]) != 0.0625


def test_callbacks_leave_a_compiled_file_a_backup_and_events(fitted, frames):
    model, _, folder, _ = fitted
    loaded = keras.saving.load_model(folder / "best.keras")
    assert loaded.compiled and loaded.optimizer.iterations == 6
    assert (loaded.objective.beta, loaded.objective.free_nats) == (1.0, 0.0)
    loaded.seed_generator.state.assign(model.seed_generator.state)
    found, expected = (one.evaluate(frames, verbose=0, return_dict=True) for one in (loaded, model))
    assert found == pytest.approx(expected, rel=1e-5)
    events = list((folder / "board" / "train").iterdir())
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events[0]))
        for value in event.summary.value
    }
    assert {f"epoch_{name}" for name in NAMES} <= tags


@pytest.mark.thorough
def test_a_backup_resumes_after_the_epoch_that_it_was_written_in(fitted, frames, tmp_path):
    model, history, folder, generator = fitted
    shutil.copytree(folder / "backup", tmp_path / "backup")
    resumed = make(keras.optimizers.Adam(1e-3), run_eagerly=True)
    assert np.abs(resumed.weights[0] - model.weights[0]).max() > 0
    begun = []

    def note(epoch, logs):
        parts = [*resumed.weights, *resumed.optimizer.variables, resumed.seed_generator.state]
        begun.append((epoch, [part.numpy() for part in parts]))

    callbacks = [
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.LambdaCallback(on_epoch_begin=note),
    ]
    resumed.fit(frames, batch_size=5, epochs=4, callbacks=callbacks, verbose=0)
    assert len(history["loss"]) == 2 and [epoch for epoch, _ in begun] == [2, 3]
    kept = [*model.weights, *model.optimizer.variables, generator]
    for a, b in zip(begun[0][1], kept, strict=True):
        np.testing.assert_array_equal(a, b)
    assert resumed.optimizer.iterations == 6 + 2
    assert not (tmp_path / "backup").exists()  # the training came to its end


@pytest.mark.thorough
def test_a_compiled_file_keeps_what_it_was_compiled_with(tmp_path):
    sampling = {"scheduled_sampling": 0.5, "scheduled_mode": "sequential"}
    model = make(keras.optimizers.Adam(3e-4), beta=0.25, free_nats=0.1, fine_beta=2.0, **sampling)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(3e-4)
    assert (loaded.objective.beta, loaded.objective.free_nats) == (0.25, 0.1)
    assert loaded.objective.fine_beta == 2.0
    assert loaded.objective.scheduled_sampling == 0.5
    assert loaded.objective.scheduled_mode == "sequential"
    assert loaded.get_compile_config()["jit_compile"] == "auto" and not loaded.jit_compile
    assert loaded.optimizer.built
    assert not keras.saving.load_model(tmp_path / "model.keras", compile=False).compiled


def test_the_default_optimizer_is_that_of_the_training_program():
    model = build_model(ModelConfig(**SMALL))
    model.compile()
    defaults, optimizer = TrainConfig(), model.optimizer
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert float(optimizer.learning_rate) == pytest.approx(defaults.learning_rate)
    assert (optimizer.epsilon, optimizer.beta_2) == (defaults.adam_epsilon, defaults.adam_beta_2)


@pytest.mark.parametrize("options,scale", [(SMALL, 1.0), (dict(family="svg"), 2.0**15)])
def test_the_loss_scale_starts_by_the_unit_of_the_loss(options, scale, tmp_path):
    model = build_model(ModelConfig(**options), "mixed_float16")
    model.compile("sgd")
    assert model.optimizer.initial_scale == model.initial_loss_scale == scale
    config = model.get_compile_config()
    again = build_model(ModelConfig(**options), "mixed_float16")
    again.compile_from_config(config)
    assert again.optimizer.initial_scale == scale
    assert isinstance(again.optimizer.inner_optimizer, keras.optimizers.SGD)


def test_compiling_again_keeps_the_optimizer():
    model = build_model(ModelConfig(**SMALL), "mixed_float16")
    model.compile()
    optimizer, variables = model.optimizer, list(model.optimizer.variables)
    optimizer.dynamic_scale.assign(64.0)
    model.compile(optimizer, beta=0.5)
    assert model.optimizer is optimizer and model.objective.beta == 0.5
    assert [id(v) for v in optimizer.variables] == [id(v) for v in variables]
    assert float(optimizer.dynamic_scale) == 64.0


def test_a_file_keeps_an_optimizer_that_was_not_to_be_scaled(tmp_path):
    model = build_model(ModelConfig(**SMALL), "mixed_float16")
    model.compile("sgd", auto_scale_loss=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, keras.optimizers.SGD)


@pytest.fixture
def copy():
    model = build_model(ModelConfig(**COPY))
    model.compile()
    return model


def test_evaluate_is_a_mean_over_videos_of_any_batches_and_types(copy, frames):
    future, last = frames[:, 2:] / 255.0, frames[:, 1:2] / 255.0
    expected = np.abs(future - last).sum(axis=(1, 2, 3, 4)).mean()
    for given in (frames, (frames / 255).astype(np.float32), frames / 255):
        found = copy.evaluate(given, batch_size=2, verbose=0, return_dict=True)
        assert found["negative_elbo"] == pytest.approx(expected, rel=1e-5)
        assert found["loss"] == found["reconstruction"] == pytest.approx(expected, rel=1e-5)
        assert found["kl"] == 0
    data = tf.data.Dataset.from_tensor_slices(frames).batch(2)
    assert copy.evaluate(data, verbose=0)[0] == pytest.approx(expected, rel=1e-5)


def test_wrong_arguments_are_refused_in_one_line(copy, frames):
    with pytest.raises(ValueError, match="CopyLast has nothing to learn, as no weight"):
        copy.fit(frames, verbose=0)
    with pytest.raises(ValueError, match=r"take frames only\. Received: labels"):
        copy.evaluate(frames, np.zeros(5), verbose=0)
    with pytest.raises(ValueError, match=r"in \[0, 1\]. Received: 0 to 255; divide by 255"):
        copy.evaluate(frames * np.float32(255 / frames.max()), verbose=0)
    with pytest.raises(ValueError, match=r"take frames only\. Received: labels or weights"):
        copy.fit(frames, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match=r"the model's own\. Received: loss"):
        copy.compile(loss="mse")
    with pytest.raises(ValueError, match=r"the model's own\. Received: loss"):
        copy.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"the model's own\. Received: metrics"):
        copy.compile("adam", metrics=["mae"])
    copy.compile("adam", metrics=[])  # asks for nothing
    with pytest.raises(ValueError, match=r"`beta` must be at least 0\. Received: -1"):
        copy.compile(beta=-1)
    with pytest.raises(ValueError, match=r"`free_nats` must be at least 0\. Received: -0\.5"):
        copy.compile(free_nats=-0.5)
    with pytest.raises(ValueError, match=r"`scheduled_sampling` must be 0 .* Received: CopyLast"):
        copy.compile(scheduled_sampling=0.5)
    with pytest.raises(ValueError, match=r"`scheduled_sampling` must be in \[0, 1\]"):
        make(scheduled_sampling=2)
    with pytest.raises(ValueError, match="`scheduled_mode` must be one of"):
        make(scheduled_sampling=0.5, scheduled_mode="serial")
    with pytest.raises(ValueError, match="`remat` needs `scheduled_mode=parallel`"):
        build_model(ModelConfig(**SMALL), remat=True).compile(
            scheduled_sampling=0.5, scheduled_mode="sequential"
        )


def test_fit_sees_about_the_wanted_share_of_own_frames_and_evaluate_none(frames):
    model = make(scheduled_sampling=0.25)
    drawn = np.asarray(model.draw_choices(400, 10))
    assert drawn.dtype == bool and abs(drawn.mean() - 0.25) < 0.03
    noise = model.draw_noise(5, 2)
    true = model.training_terms(frames / np.float32(255), noise)[1]
    np.testing.assert_array_equal(model(frames, noise)[1], true)
    assert np.abs(model(frames, noise, training=True)[1] - true).max() > 0


def test_several_replicas_are_refused(copy, monkeypatch):
    replicas = SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(type(copy), "distribute_strategy", replicas)
    with pytest.raises(ValueError, match=r"use one device; .*\. Received: 2 replicas"):
        copy.make_test_function()


def test_another_jit_compile_is_refused():
    with pytest.raises(ValueError, match="must be a bool or auto"):
        PredNet((8, 8, 1), 1, stacks=(2, 2, 2)).compile(jit_compile="yes")


def test_a_batch_of_no_videos_is_refused(rng):
    model, frames = make(), rng.integers(0, 256, size=(2, 6, 8, 8, 1)).astype(np.uint8)
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="`batch_size` must be an integer, at least 1"):
            method(frames, batch_size=0)


def test_single_batches_are_checked_as_in_fit(rng):
    model, frames = make(), rng.integers(0, 256, size=(2, 6, 8, 8, 1)).astype(np.uint8)
    before = model.get_weights()
    for method in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="divide by 255"):
            method(frames.astype(float))
        with pytest.raises(ValueError, match="Received: labels or weights"):
            method(frames, np.zeros(2))
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert set(model.test_on_batch(frames, return_dict=True)) >= {"loss", "negative_elbo", "kl"}
    assert set(model.train_on_batch(frames, return_dict=True)) >= {"loss", "negative_elbo", "kl"}
