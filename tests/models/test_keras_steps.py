"""Videos of several lengths in `fit` and `evaluate`."""

import numpy as np
import pytest
import tensorflow as tf

from tfvrnn.models import PredNet


@pytest.fixture
def model():
    model = PredNet((8, 8, 1), 1, stacks=(2, 2, 2))
    model.compile()
    return model


@pytest.fixture
def videos(rng):
    return rng.integers(0, 256, (6, 6, 8, 8, 1), np.uint8)


def loss_of(model, videos):
    terms, _ = model.training_terms(videos / np.float32(255), [])
    return float(np.mean(terms["reconstruction"]))


@pytest.mark.thorough
def test_each_length_is_evaluated(model, videos):
    for length in (3, 5, 4, 3):
        found = model.evaluate(videos[:, :length], batch_size=4, verbose=0)[0]
        assert found == pytest.approx(loss_of(model, videos[:, :length]), abs=1e-6)
        found = model.test_on_batch(videos[:, :length])[0]
        assert found == pytest.approx(loss_of(model, videos[:, :length]), abs=1e-6)


def test_each_length_is_traced_once_whatever_the_number_of_videos(model, videos, monkeypatch):
    traced, step = [], model.train_step
    monkeypatch.setattr(model, "train_step", lambda data: traced.append(data) or step(data))
    for length, size in ((3, 2), (4, 3), (3, 4)):
        model.fit(videos[:, :length], batch_size=size, verbose=0)
    data = tf.data.Dataset.from_tensor_slices(videos[:, :3]).batch(5, drop_remainder=True)
    model.fit(data, verbose=0, shuffle=False)
    assert model.optimizer.iterations == 3 + 2 + 2 + 1
    # Two lengths, and once more when a batch has a known number of videos.
    assert len(traced) <= 3


@pytest.mark.thorough
def test_batches_and_validation_of_each_length(model, videos):
    other = videos[:, :5]
    before = loss_of(model, other)
    model.fit(videos[:, :3], validation_data=other, verbose=0)
    for length in (5, 6, 5):
        model.train_on_batch(videos[:, :length])
    assert model.optimizer.iterations == 1 + 3
    assert loss_of(model, other) != before
    assert model.evaluate(other, verbose=0)[0] == pytest.approx(loss_of(model, other), abs=1e-6)


@pytest.mark.thorough
def test_several_steps_at_once_see_each_length(model, videos):
    model.compile(steps_per_execution=2)
    for length in (3, 4, 3):
        model.fit(videos[:, :length], batch_size=2, verbose=0)
    assert model.optimizer.iterations == 9
