"""Test the figures of stochasticity on models whose answer is known."""

import numpy as np
import pytest
import tensorflow as tf

from tfvrnn.config import Config, EvalConfig, ModelConfig
from tfvrnn.evaluation import measures
from tfvrnn.evaluation.figures import summarize
from tfvrnn.evaluation.measures import Measures
from tfvrnn.models import VideoPredictor

HORIZON, SIDE = 3, 8


class Noise(VideoPredictor):
    """Draws every pixel independently: grey with a deviation of a tenth.

    scale: factor on the prior's deviation.
    listens: whether a frame shows its latents, or only grey.
    """

    image_shape, context_frames, latent_resolutions = (SIDE, SIDE, 1), 2, (SIDE,)

    def __init__(self, scale=1.0, listens=True):
        super().__init__()
        self.scale, self.listens = scale, listens

    def noise_shapes(self, batch, steps):
        return [(batch, steps, SIDE, SIDE, 1)]

    def training_terms(self, frames, noise, training=False):
        nothing = tf.zeros(tf.shape(frames)[0])
        return {"reconstruction": nothing, f"kl_{SIDE}": nothing}, frames[:, 2:]

    def infer_latents(self, frames, noise):
        return [frames[:, 2:] - 0.5], {SIDE: tf.zeros_like(frames[:, 2:])}

    def begin(self, context, noise=None):
        return (context[:, -1],)

    def draw(self, state, noise, mean=False):
        drawn = tf.zeros_like(state[0]) if mean else self.scale * 0.1 * noise[0]
        return state, [drawn]

    def render(self, state, latents):
        return state, 0.5 + latents[0] * float(self.listens)

    def observe(self, state, frame):
        return (frame,)


@pytest.fixture(scope="module")
def videos():
    drawn = 255 * np.random.default_rng(0).normal(0.5, 0.1, (21, 2 + HORIZON, SIDE, SIDE, 1))
    return drawn.round().clip(0, 255).astype(np.uint8)


def figures_of(model, videos, samples=19, batch_size=10):
    settings = EvalConfig(
        videos=len(videos), samples=samples, batch_size=batch_size, horizon=HORIZON,
        ssim="uniform", lpips="none", examples=0,
    )  # fmt: skip
    measure = Measures(model, Config(model=ModelConfig(image_size=8), eval=settings))
    firsts = range(0, len(videos), batch_size)
    parts = [measure(videos[first : first + batch_size], first) for first in firsts]
    whole = {n: np.concatenate([p[n] for p in parts if n in p]) for n in parts[0]}
    return summarize(whole, HORIZON)


@pytest.fixture(scope="module")
def ideal(videos):
    return figures_of(Noise(), videos)


def psnr(truth, futures):
    errors = np.square((truth / 255 - futures / 255).astype(np.float64)).mean(axis=(2, 3, 4))
    return -10 * np.log10(errors)


def test_a_model_that_listens_is_told_from_its_latents(videos, ideal):
    figures = ideal
    found, truth = figures["given_latents"]["psnr"], videos[:16, 2:]
    assert figures["given_latents"]["videos"] == 16
    assert found["posterior"]["mean"] == 100 and found["posterior"]["interval"] == [100, 100]
    # Batches have ten videos. The second has six, whose latents are exchanged.
    order = [*range(1, 10), 0, *range(11, 16), 10]
    grey = np.full_like(truth, 128)
    for name, futures in (("shuffled", truth[order]), ("mean", grey), ("zeroed", grey)):
        expected = psnr(truth, futures)
        np.testing.assert_allclose(found[name]["curve"], expected.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(found[name]["mean"], expected.mean(), rtol=1e-5)
        behind = found[name]["below_posterior"]
        np.testing.assert_allclose(behind["mean"], 100 - expected.mean(), rtol=1e-5)
        assert behind["interval"][0] > 70
    # The prior draws like the truth, so its error equals that of another video's latents.
    assert found["prior"]["mean"] == pytest.approx(found["shuffled"]["mean"], abs=0.2)


def test_a_model_that_ignores_its_latents_shows_no_difference(videos):
    figures = figures_of(Noise(listens=False), videos, samples=2)
    for name in ("psnr", "ssim"):
        found = figures["given_latents"][name]
        assert all(choice == found["posterior"] for choice in found.values())
        assert found["shuffled"]["below_posterior"] == {"mean": 0, "interval": [0, 0]}
    found = figures["calibration"]
    assert figures["spread"]["mean"] == 0 and found["spread_to_error"]["mean"] < 1e-4
    assert found["coverage"]["mean"] == 0 and found["ranks"]["histogram"][1] == 0


def test_an_ideal_ensemble_is_calibrated(ideal):
    found = ideal["calibration"]
    assert (found["videos"], found["samples"]) == (21, 19)
    assert found["coverage"]["ideal"] == 0.9 and found["ranks"]["ideal"] == 0.1
    # Over 21 * 64 pixels per frame: four deviations of a share, and of a ratio of deviations.
    reach = {"coverage": 4 * (0.9 * 0.1 / 1344) ** 0.5, "spread_to_error": 4 / (2 * 1344) ** 0.5}
    for name, width in (("coverage", 0.02), ("spread_to_error", 0.05)):
        low, high = found[name]["interval"]
        assert low < found[name]["ideal"] < high and high - low < width
        np.testing.assert_allclose(found[name]["curve"], found[name]["ideal"], atol=reach[name])
    np.testing.assert_allclose(found["ranks"]["histogram"], 0.1, atol=0.02)
    assert found["ranks"]["unevenness"] < 0.1 and len(found["ranks"]["curve"]) == HORIZON


def test_an_ensemble_that_is_too_narrow_is_not(videos):
    found = figures_of(Noise(scale=0.25), videos)["calibration"]
    assert found["spread_to_error"]["mean"] == pytest.approx(0.25, abs=0.02)
    assert found["coverage"]["interval"][1] < 0.5
    histogram = found["ranks"]["histogram"]
    assert min(histogram[0], histogram[-1]) > 0.25 and max(histogram[1:-1]) < 0.1
    assert found["ranks"]["unevenness"] > 0.5


def test_what_has_no_latents_or_no_second_future_is_left_out(videos, monkeypatch):
    monkeypatch.setattr(Noise, "noise_shapes", lambda *_: [])
    monkeypatch.setattr(Noise, "latent_kl", lambda *_: {})
    figures = figures_of(Noise(), videos[:2])
    assert figures["given_latents"] is figures["calibration"] is None


def test_one_video_has_no_other_to_exchange_latents_with(videos, monkeypatch):
    monkeypatch.setattr(measures, "PROBED", 3)
    figures = figures_of(Noise(), videos[:3], samples=1, batch_size=2)
    assert figures["given_latents"]["videos"] == 2 and figures["calibration"] is None
    assert figures_of(Noise(), videos[:1], samples=2)["given_latents"] is None
