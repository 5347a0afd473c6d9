import numpy as np

from tfvrnn.config import ModelConfig
from tfvrnn.models import build_model
from tfvrnn.sampling import sample_videos


def test_it_repeats_the_last_context_frame(rng):
    model = build_model(ModelConfig(family="copy_last", image_size=8, reconstruction="l1"))
    assert model.count_params() == 0
    frames = rng.uniform(size=(2, 5, 8, 8, 3)).astype(np.float32)
    terms, predictions = model.training_terms(frames, [])
    expected = np.repeat(frames[:, 1:2], 3, axis=1)
    np.testing.assert_array_equal(predictions, expected)
    loss = np.abs(frames[:, 2:] - expected).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(terms["reconstruction"], loss, rtol=1e-5)
    for options in ({"seeds": [1, 2]}, {"mean": True}):
        np.testing.assert_array_equal(sample_videos(model, frames[:, :2], 3, **options), expected)
