from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfvrnn.config import UserError
from tfvrnn.data import make_dataset
from tfvrnn.models import SVG, VRNN, PredNet, build_model
from tfvrnn.runs import load_run
from tfvrnn.training import train
from tfvrnn.training.loop import describe
from tfvrnn.training.optimizer import MovingAverages
from tfvrnn.training.step import per_unit
from tfvrnn.training.validation import Validation

FAMILIES = {"vrnn": VRNN, "svg": SVG, "prednet": PredNet}


@pytest.fixture
def made(small):
    config = small(train__validation_videos=10, train__pictures=0)
    model = build_model(config.model)
    return config, model, Validation(model, config)


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_a_validation_that_fails_loses_no_step(small, tmp_path, monkeypatch):
    def fails(self):
        raise UserError("damaged")

    monkeypatch.setattr(Validation, "__call__", fails)
    plain = {"model__family": "prednet", "model__prednet_stacks": (2, 2, 2)}
    with pytest.raises(UserError, match="damaged"):
        train(small(**plain, train__run_dir=str(tmp_path / "run")))
    assert load_run(tmp_path / "run")[2] == 3  # of every 3 steps
    with pytest.raises(UserError, match="damaged"):  # in the last step, which is repeated
        train(small(**plain, train__run_dir=str(tmp_path / "run")))
    monkeypatch.undo()
    assert train(small(**plain, train__run_dir=str(tmp_path / "run"))).validation


def test_scalars_are_means_over_the_videos_and_the_same_every_time(made):
    config, model, validation = made
    scalars, _ = validation()
    assert scalars == validation()[0]
    # Batches have 4, 4 and 2 videos: two tracings, for the whole batches and the last one.
    assert validation._terms.experimental_get_tracing_count() <= 2
    kl = sum(scalars[f"kl_{r}"] for r in model.latent_resolutions)
    assert scalars["kl"] == pytest.approx(kl, rel=1e-4)
    total = scalars["reconstruction"] + scalars["kl"]
    assert scalars["negative_elbo"] == pytest.approx(total, rel=1e-4)

    dataset = make_dataset(config.data, config.model, "validation").unbatch().take(10)
    videos = np.stack(list(dataset.as_numpy_iterator())).astype(np.float32) / 255
    future, last = videos[:, 2:], np.repeat(videos[:, 1:2], config.data.horizon, axis=1)
    copied = np.mean(model.reconstruction_term(future, last))
    assert scalars["copy_last"] == pytest.approx(copied, rel=1e-4)


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_copying_is_of_as_many_frames_as_the_terms_count(made, monkeypatch):
    config, model, validation = made
    plain = validation().scalars
    horizon = config.data.horizon
    monkeypatch.setattr(model, "counted_frames", lambda steps: steps + 3)  # SVG counts its context
    found = validation().scalars
    share = (horizon + 3) / horizon
    assert found["copy_last"] == pytest.approx(share * plain["copy_last"], rel=1e-5)
    assert found["reconstruction_per_frame"] == pytest.approx(
        plain["reconstruction_per_frame"] / share, rel=1e-5
    )
    monkeypatch.setattr(model, "counted_frames", lambda steps: 1)  # PredNet's terms are means
    assert validation().scalars["copy_last"] == pytest.approx(plain["copy_last"], rel=1e-5)


def test_terms_a_frame_and_a_dimension():
    svg = SVG((64, 64, 1), context_frames=5, latents=10)
    units = per_unit({"reconstruction": 28.0, "kl": 140.0}, svg, 10)  # over 4 + 10 frames
    assert units["reconstruction_per_frame"] == pytest.approx(2.0)
    assert units["kl_per_frame"] == pytest.approx(10.0)
    assert units["kl_per_dimension"] == pytest.approx(1.0)


def test_a_sum_is_reported_if_all_of_it_is_in_nats():
    scalars = {"reconstruction": 2.0, "kl": 1.0, "negative_elbo": 3.0, "copy_last": 9.0}
    copying = "(copying the last frame: reconstruction 9)"
    for family, expected in (
        ("vrnn", "negative ELBO 3 = reconstruction 2 + KL 1.00 nats"),
        ("svg", "reconstruction 2, KL 1.00 nats"),
        ("prednet", "reconstruction 2"),
    ):
        model = SimpleNamespace(
            mean_over_pixels=FAMILIES[family].mean_over_pixels,
            latent_resolutions=() if family == "prednet" else (1,),
        )
        assert describe(scalars, model) == f"{expected} {copying}"


@pytest.mark.usefixtures("eagerly")
def test_pictures_begin_with_the_context_and_show_every_kind(made, small):
    config, model, _ = made
    videos = Validation(model, small(train__pictures=3))().videos
    assert list(videos) == ["truth", "posterior", "mean", "sample 1", "sample 2", "sample 3"]
    for video in videos.values():
        assert video.shape == (3, config.frames, 8, 8, 1) and video.dtype == np.uint8
        np.testing.assert_array_equal(video[:, :2], videos["truth"][:, :2])
    assert np.any(videos["sample 1"] != videos["sample 2"])


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_no_pictures_where_none_are_wanted(made):
    scalars, videos = made[2]()
    assert videos == {} and scalars["reconstruction"] > 0


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_a_channel_is_active_if_its_kl_is_not_zero(made):
    _, model, validation = made
    idle = {k: v for k, v in validation().scalars.items() if k.startswith("active")}
    assert idle == {"active_channels_1": 0, "active_channels_4": 0}
    # Let one channel's posterior mean at 4x4 be 1 where the prior's is 0.
    offset = model.posterior_levels[1].head.norm.offset
    offset.assign(tf.tensor_scatter_nd_update(offset.value, [[3]], [1.0]))
    busy = {k: v for k, v in validation().scalars.items() if k.startswith("active")}
    assert busy == {"active_channels_1": 0, "active_channels_4": 1}


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_moving_averages_are_what_is_validated(made):
    config, model, _ = made
    averages = MovingAverages(model, 0.5)
    expected = Validation(model, config)().scalars
    for weight in averages.weights:
        weight.assign_add(tf.fill(weight.shape, 0.3))
    changed = Validation(model, config)().scalars
    assert Validation(model, config, averages)().scalars == expected != changed
