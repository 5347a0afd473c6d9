"""Test measures of a batch that the frames of a whole evaluation are too small for."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tfvrnn import media, metrics
from tfvrnn.config import Config, DataConfig, EvalConfig, ModelConfig, UserError
from tfvrnn.evaluation.measures import Measures
from tfvrnn.models import build_model
from tfvrnn.sampling import sample_videos

HEADS = (64, 192, 384, 256, 256)  # channels of AlexNet's feature maps


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_lpips_and_the_gaussian_ssim_through_an_evaluation(rng):
    config = Config(
        model=ModelConfig(image_size=32, channels=1, width=8, groups=2, latent_resolutions=(1,)),
        data=DataConfig(horizon=2, digits=1),
        eval=EvalConfig(videos=2, samples=2, batch_size=2, examples=0),
    )
    network = random_lpips()
    model = build_model(config.model)
    videos = rng.integers(0, 256, (2, 4, 32, 32, 1), np.uint8)
    found = Measures(model, config, network)(videos, 0)
    futures = sample_videos(model, videos[:, :2], 2, np.arange(4).reshape(2, 2)).numpy()
    futures = (media.to_uint8(futures) / 255).astype(np.float32)
    truth = (videos[:, 2:] / 255).astype(np.float32)
    for sample in range(2):
        expected = network(futures[:, sample], truth).numpy()
        np.testing.assert_allclose(found["lpips"][:, sample], expected, atol=1e-5)
        expected = metrics.ssim(futures[:, sample], truth).numpy()
        np.testing.assert_allclose(found["ssim"][:, sample], expected, atol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_frames_that_are_no_numbers_are_not_measured(rng):
    config = Config(
        model=ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1,)),
        eval=EvalConfig(videos=2, samples=2, batch_size=2, horizon=1, ssim="uniform"),
    )
    model = build_model(config.model)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(UserError, match="not finite"):
        Measures(model, config)(rng.integers(0, 256, (2, 3, 8, 8, 1), np.uint8), 0)


def random_lpips():
    sys.path.insert(0, str(Path(__file__).parents[1] / "metrics" / "golden"))
    from inputs import trunk_arrays

    arrays = {f"head/{tap}": np.full(c, 0.1, np.float32) for tap, c in enumerate(HEADS)}
    for layer, (kernel, bias) in trunk_arrays("alex").items():
        arrays |= {f"trunk/{layer}/kernel": kernel, f"trunk/{layer}/bias": bias}
    return metrics.LPIPS("alex", arrays)
