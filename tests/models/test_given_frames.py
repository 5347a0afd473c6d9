"""`fit`, `evaluate`, `generate` and `predict` refuse frames that do not fit, and accept loaders."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfvrnn.config import ModelConfig
from tfvrnn.models import build_model, given_frames

SMALL = dict(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1,))
WRONG = {  # name: (shape, dtype, the message)
    "no frame to predict": ((5, 2, 8, 8, 1), "uint8", r"with T > 2\. Received: .*at least 3$"),
    "one video": ((4, 8, 8, 1), "uint8", r"shape \(4, 8, 8, 1\); .* x\[None\]$"),
    "no channels": ((5, 4, 8, 8), "uint8", r"\(5, 4, 8, 8\); .* x\[\.\.\., None\]$"),
    "a picture": ((8, 8), "uint8", "the axes are video, time, height, width, channel$"),
    "larger": ((5, 4, 16, 16, 1), "float32", "resize the frames to 8x8, or see ModelConfig.image"),
    "coloured": ((5, 4, 8, 8, 3), "float32", r"shape \(5, 4, 8, 8, 3\); the model has 1 channel: "),
    "channels first": ((5, 4, 1, 8, 8), "float32", r"last axis by np\.moveaxis\(x, 2, -1\)$"),
    "integers": ((5, 4, 8, 8, 1), "int64", r"float or uint8\. Received: int64; x\.astype"),
    "truths": ((5, 4, 8, 8, 1), "bool", "Received: bool"),
    "no video": ((0, 4, 8, 8, 1), "uint8", "`frames` must have at least one row"),
}


@pytest.fixture(scope="module")
def model():
    model = build_model(ModelConfig(**SMALL))
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)
    return model


@pytest.fixture
def frames(rng):
    return rng.integers(0, 256, size=(5, 4, 8, 8, 1)).astype(np.uint8)


@pytest.fixture
def unchanged(model):
    """Check that the test leaves weights, optimizer and generator as they were."""
    parts = [*model.weights, *model.optimizer.variables, model.seed_generator.state]
    before = [part.numpy() for part in parts]
    yield
    for part, value in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, value)


def batches(*given):
    yield from given


@pytest.mark.parametrize("name", WRONG)
def test_frames_that_do_not_fit_are_refused_before_anything_changes(model, frames, name, unchanged):
    shape, dtype, message = WRONG[name]
    wrong = np.zeros(shape, dtype)
    data = tf.data.Dataset.from_tensors(wrong)
    with pytest.raises(ValueError, match=message):
        model.fit(wrong, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.evaluate(wrong, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(frames, validation_data=wrong, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(frames, validation_data=(data,), verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(data, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.fit(batches(wrong), shuffle=False, verbose=0)
    with pytest.raises(ValueError, match=message.replace("$", "")):
        model(wrong)


def test_what_is_no_array_is_refused(model, frames, unchanged):
    with pytest.raises(ValueError, match=r"Received: a list; .* np\.stack"):
        model.fit([frames, frames], verbose=0)
    with pytest.raises(ValueError, match="Received: a NoneType"):
        model.fit(verbose=0)
    labels = tf.data.Dataset.from_tensors((frames, np.zeros(5)))
    for validation in (labels, (frames, np.zeros(5))):
        with pytest.raises(ValueError, match=r"take frames only\. Received: labels"):
            model.fit(frames, validation_data=validation, verbose=0)
    with pytest.raises(ValueError, match=r"take frames only\. Received: labels"):
        model.fit(frames, sample_weight=np.ones(5), verbose=0)
    with pytest.raises(ValueError, match="labels or weights"):
        model.evaluate(frames, None, 2, 0, np.ones(5))
    unknown = tf.data.Dataset.from_tensors(frames).map(
        lambda x: tf.ensure_shape(tf.py_function(lambda y: y, [x], tf.uint8), (None,) * 5)
    )
    with pytest.raises(ValueError, match=r"\(None, None, None, .*; all lengths but the first"):
        model.fit(unknown, verbose=0)


@pytest.mark.parametrize(
    "shape,message",
    [
        ((5, 3, 8, 8, 1), r"\[B, 2, 8, 8, 1\]\. Received: .*; the model sees 2 .*context\[:, :2\]"),
        ((2, 8, 8, 1), r"make one video a batch by x\[None\]"),
        ((5, 2, 16, 16, 1), "resize the frames to 8x8"),
    ],
)
def test_contexts_that_do_not_fit_are_refused_before_a_seed_is_drawn(
    model, shape, message, unchanged
):
    wrong = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match=message):
        model.generate(wrong)
    with pytest.raises(ValueError, match=message):
        model.predict(wrong, verbose=0)
    with pytest.raises(ValueError, match="`temperature` must be at least 0"):
        model.generate(np.zeros((5, 2, 8, 8, 1), np.uint8), temperature=-1)
    with pytest.raises(ValueError, match="`horizon` must be an integer"):
        model.generate(np.zeros((5, 2, 8, 8, 1), np.uint8), horizon=0)


class Loader:
    """Replaces a PyTorch DataLoader."""

    def __init__(self, dataset, size):
        self.dataset, self.size, self.collate_fn = dataset, size, np.stack

    def __len__(self):
        return -(-len(self.dataset) // self.size)

    def __iter__(self):
        starts = range(0, len(self.dataset), self.size)
        return (self.collate_fn(self.dataset[k : k + self.size]) for k in starts)


def test_batches_of_a_loader_are_checked_tuples_and_the_loader_stays_what_it_is(model, frames):
    loader = Loader(frames, 2)
    wrapped = given_frames.checked(loader, model.check_frames)
    assert isinstance(wrapped, Loader) and len(wrapped) == 3 and type(loader) is Loader
    assert given_frames.checked(wrapped, model.check_frames) is wrapped
    for _ in range(2):  # once per epoch
        found = list(wrapped)
        assert all(isinstance(batch, tuple) and len(batch) == 1 for batch in found)
        np.testing.assert_array_equal(np.concatenate([batch for (batch,) in found]), frames)
    loader.collate_fn = lambda rows: (np.stack(rows), np.zeros(len(rows)))
    with pytest.raises(ValueError, match=r"take frames only\. Received: labels"):
        next(iter(given_frames.checked(loader, model.check_frames)))
    short = given_frames.checked(Loader(frames[:, :2], 2), model.check_frames)
    with pytest.raises(ValueError, match=r"Received: shape \(2, 2, 8, 8, 1\)"):
        next(iter(short))


def test_a_pytorch_loader_of_tensors_or_of_tuples_trains(frames):
    torch = pytest.importorskip("torch")
    utilities, tensor = torch.utils.data, torch.from_numpy(frames)
    copy_last = build_model(ModelConfig(family="copy_last", image_size=8, channels=1))
    copy_last.compile()
    expected = copy_last.evaluate(frames, verbose=0)
    model = build_model(ModelConfig(**SMALL))
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)
    for dataset in (tensor, utilities.TensorDataset(tensor)):
        loader = utilities.DataLoader(dataset, batch_size=2)
        assert copy_last.evaluate(loader, verbose=0) == pytest.approx(expected, rel=1e-5)
        steps = int(model.optimizer.iterations)
        model.fit(loader, validation_data=loader, shuffle=False, verbose=0)
        assert model.optimizer.iterations == steps + 3
    contexts = utilities.DataLoader(tensor[:, :2], batch_size=2)
    found, expected = (model.predict(x, verbose=0) for x in (contexts, frames[:, :2]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.thorough
def test_a_dataset_of_keras_and_a_generator_train(model, frames):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, number):
            return (frames[number : number + 2],)

    steps = int(model.optimizer.iterations)
    model.fit(Batches(), verbose=0)
    assert model.optimizer.iterations == steps + 2
    model.fit(batches(frames, frames[:2], frames), steps_per_epoch=2, shuffle=False, verbose=0)
    assert model.optimizer.iterations == steps + 4
