"""Every family through training, checkpoint, run folder, sampling, evaluation and export."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from tiny_run import SMALL

from tfvrnn import config_flags, media
from tfvrnn.config import UserError
from tfvrnn.evaluation import evaluate_run
from tfvrnn.models import build_model
from tfvrnn.runs import load_run
from tfvrnn.sampling import sample_videos
from tfvrnn.serving.export import export_sampler
from tfvrnn.training.loop import train

FAMILIES = {
    "vrnn": {
        "model.image_size": 16,
        "model.latent_resolutions": (1, 4),
        "model.latent_feedback": "own",
        "model.latent_channels": (4, 3),
    },
    "svg": {"model.image_size": 64, "model.svg_latents": 2},
    "prednet": {"model.image_size": 16},
    "copy_last": {"model.image_size": 16},
}


@pytest.mark.thorough
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_all_the_way(family, tmp_path, request):
    changes = {"model.family": family, "train.steps": 2, "train.run_dir": str(tmp_path / "run")}
    changes |= {"data.batch_size": 2, "train.validation_videos": 2, "train.average_decay": 0.5}
    config = config_flags.replace(SMALL, changes | FAMILIES[family])
    outcome = train(config)
    assert outcome.step == 2 and np.isfinite(outcome.validation["negative_elbo"])
    request.getfixturevalue("eagerly")  # the rest runs once; exports are still traced

    stored, model, step = load_run(tmp_path / "run")
    assert step == 2 and stored.model == config.model
    fresh = build_model(config.model)
    if model.trainable_weights:
        changed = [(a.numpy() != b.numpy()).any() for a, b in zip(model.weights, fresh.weights)]
        assert np.mean(changed) > 0.9
    statistics = [w for w in model.weights if "moving" in w.path]
    assert all((w.numpy() != w.numpy().round()).any() for w in statistics)  # no longer 0 and 1
    assert len(statistics) == (18 if family == "svg" else 0)

    frames = np.random.default_rng(0).integers(0, 256, (2, 2, *model.image_shape), np.uint8)
    futures = sample_videos(model, frames, 3, [5, 6]).numpy()
    assert futures.shape == (2, 3, *model.image_shape)
    version = export_sampler(tmp_path / "run", tmp_path / "base", 3, samples=1, max_batch=1)
    served = tf.saved_model.load(str(version)).signatures["serving_default"](
        frames=tf.constant(frames), seed=tf.constant([5, 6])
    )["frames"]
    difference = np.abs(served.numpy().astype(int) - media.to_uint8(futures).astype(int))
    assert difference.max() <= 1

    settings = {"videos": 2, "samples": 2, "batch_size": 2, "lpips": "none", "fvd_network": "none"}
    figures = evaluate_run(tmp_path / "run", settings).figures
    assert figures["psnr"]["best"]["mean"] > 0
    if not model.latent_resolutions:  # one future
        assert figures["spread"]["mean"] == 0 and figures["levels"] == {}
        assert figures["ssim"]["best"] == figures["ssim"]["worst"]
    text = json.loads((version / "assets.extra" / "model_card.json").read_text())
    assert text["configuration"]["model.family"] == family
    assert dataclasses.asdict(stored.model)["family"] == family


def test_training_without_a_folder_or_tensorflow_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"`train\.run_dir` must name a folder"):
        train(config_flags.replace(SMALL, {"train.run_dir": ""}))
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(UserError, match="Keras must compute with TensorFlow"):
        train(config_flags.replace(SMALL, {"train.run_dir": "run"}))
    assert not list(tmp_path.iterdir())
