import dataclasses
import json
import shutil

import numpy as np
import pytest

from tfvrnn import media, metrics
from tfvrnn.config import UserError
from tfvrnn.data import make_dataset
from tfvrnn.evaluation import evaluate, evaluate_run, read_result
from tfvrnn.evaluation.measures import Measures
from tfvrnn.run_folder import load_run
from tfvrnn.sampling import sample_videos

# Frames of 8x8 are too small for the Gaussian SSIM and for LPIPS.
CHANGES = {
    "videos": 5,
    "samples": 3,
    "batch_size": 2,
    "horizon": 4,
    "ssim": "uniform",
    "lpips": "none",
    "fvd_repeats": 2,
    "fvd_context": True,
    "examples": 3,
}


class Network:
    """Stands in for I3D: cheap, and of few dimensions."""

    digest = "0" * 64

    def __call__(self, videos):
        return np.asarray(videos, np.float32).mean(axis=(2, 3))[..., 0][:, :4] / 255


@pytest.fixture(autouse=True)
def cheap_network(request, monkeypatch, tmp_path):
    if "real_network" not in request.keywords:
        monkeypatch.setattr(metrics, "feature_network", lambda *_: Network())
        monkeypatch.setattr("tfvrnn.evaluation.protocol.LEAST_FRAMES", 5)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def test_the_figures_are_those_of_the_rule(run):
    result = evaluate_run(run, CHANGES)
    config, model, _ = load_run(run)
    data = dataclasses.replace(config.data, horizon=4, batch_size=5)
    videos = next(iter(make_dataset(data, config.model, "test"))).numpy()
    context, truth = videos[:, :2], videos[:, 2:]
    seeds = np.arange(15).reshape(5, 3)
    futures = media.to_uint8(sample_videos(model, context, 4, seeds).numpy())
    repeated = np.broadcast_to(truth[:, None], futures.shape)
    frames, same = ((x / 255.0).astype(np.float32) for x in (futures, repeated))
    figures = result.figures
    for name, values in (
        ("psnr", np.minimum(metrics.psnr(frames, same), 100)),
        ("ssim", metrics.ssim(frames, same, "uniform").numpy()),
    ):
        over_time = values.mean(axis=2)
        np.testing.assert_allclose(
            figures[name]["best"]["mean"], over_time.max(1).mean(), rtol=1e-4
        )
        np.testing.assert_allclose(figures[name]["mean"]["mean"], over_time.mean(), rtol=1e-4)
        np.testing.assert_allclose(
            figures[name]["worst"]["mean"], over_time.min(1).mean(), rtol=1e-4
        )
        np.testing.assert_allclose(
            figures[name]["mean"]["curve"], values.mean(axis=(0, 1)), rtol=1e-4
        )
    spread = (futures / 255.0).std(axis=1).mean(axis=(2, 3, 4))
    np.testing.assert_allclose(figures["spread"]["curve"], spread.mean(0), rtol=1e-3, atol=1e-6)
    clips = np.concatenate([np.repeat(context[:, None], 3, 1), futures], axis=2)
    distances = [
        metrics.frechet_distance(Network()(videos), Network()(clips[:, k])) for k in range(2)
    ]
    np.testing.assert_allclose(figures["fvd"]["values"], distances, rtol=1e-3, atol=1e-6)
    assert figures["fvd"]["videos"] == 5 and figures["lpips"] is None
    assert set(figures["levels"]) == {"1"}
    assert figures["levels"]["1"]["channels"] == model.noise_shapes(1, 1)[0][-1]
    np.testing.assert_array_equal(result.shown[:, 0], videos[:3])
    np.testing.assert_array_equal(result.shown[:, 2:, 2:], futures[:3])


def test_an_interrupted_evaluation_goes_on_and_ends_the_same(run, small_run, tmp_path, monkeypatch):
    whole = evaluate_run(run, CHANGES)
    other = shutil.copytree(small_run, tmp_path / "other")
    calls, measure = [], Measures.__call__

    def interrupted(self, videos, first):
        calls.append(first)
        if calls == [0, 2]:
            raise KeyboardInterrupt
        return measure(self, videos, first)

    monkeypatch.setattr(Measures, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(other, CHANGES)
    result = evaluate_run(other, CHANGES)
    assert calls == [0, 2, 2, 4]
    assert result.figures == whole.figures
    names = sorted(path.name for path in (other / "evaluation").iterdir())
    assert names == ["smmnist_2to4_5x3.json", "smmnist_2to4_5x3.npz"]


def test_what_was_measured_is_read_and_a_change_measured_anew(run, monkeypatch):
    first = evaluate_run(run, CHANGES)
    monkeypatch.setattr(evaluate, "Measures", lambda *_: pytest.fail("measured again"))
    assert evaluate_run(run, CHANGES | {"cache_dir": "elsewhere"}).figures == first.figures
    monkeypatch.undo()
    monkeypatch.setattr(metrics, "feature_network", lambda *_: Network())
    changed = evaluate_run(run, CHANGES | {"seed": 7, "fvd_network": "none"})
    assert changed.path == first.path and changed.figures["psnr"] != first.figures["psnr"]
    assert changed.figures["fvd"] is None


def test_the_protocol_gives_the_same_figures_and_refuses_another_model(run, small_run, tmp_path):
    first = evaluate_run(run, CHANGES | {"name": "one"})
    again = evaluate_run(shutil.copytree(small_run, tmp_path / "copy"), {"name": "two"}, first.path)
    assert again.figures == first.figures and again.protocol == first.protocol
    content = json.loads(first.path.read_text())
    content["protocol"]["model"]["weights_sha256"] = "another"
    first.path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="weights_sha256"):
        evaluate_run(tmp_path / "copy", {"name": "three"}, first.path)
    first.path.write_text("{}")
    with pytest.raises(UserError, match="no protocol"):
        evaluate_run(tmp_path / "copy", {}, first.path)
    with pytest.raises(UserError, match="cannot be read"):
        evaluate_run(tmp_path / "copy", {}, tmp_path / "none.json")


def test_what_cannot_be_measured_is_said_and_never_a_number(run, monkeypatch, capsys):
    def unavailable(*_):
        raise metrics.WeightsUnavailable("no network")

    monkeypatch.setattr(metrics, "feature_network", unavailable)
    monkeypatch.setattr(metrics, "perceptual_network", unavailable)
    result = evaluate_run(run, CHANGES | {"lpips": "alex"})
    assert result.figures["lpips"] is None and result.figures["fvd"] is None
    assert len(result.notes) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "LPIPS is not measured: no network" in lines
    assert "FVD is not measured: no network" in lines
    short = evaluate_run(run, CHANGES | {"fvd_context": False, "horizon": 1})
    assert "--eval.horizon" in short.notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ssim": "gaussian"}, "smaller than the window"),
        ({"videos": 10**6, "samples": 1}, "split has"),
    ],
)
def test_what_cannot_be_is_refused_at_once(run, changes, message):
    with pytest.raises(UserError, match=message):
        evaluate_run(run, CHANGES | changes)
    assert not (run / "evaluation").exists()


def test_a_broken_result_is_refused(run):
    path = evaluate_run(run, CHANGES).path
    path.with_suffix(".npz").write_bytes(b"cut")
    with pytest.raises(UserError, match="holds no result"):
        read_result(path)


@pytest.mark.real_network
def test_with_the_real_network(run, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    try:
        metrics.feature_network()
    except metrics.WeightsUnavailable as error:
        pytest.skip(f"no I3D weights: {error}")
    changes = {"horizon": 9, "fvd_context": False, "videos": 4, "fvd_repeats": 1, "samples": 2}
    figures = evaluate_run(run, CHANGES | changes).figures
    assert figures["fvd"]["mean"] > 0 and figures["fvd_infinity"]["videos"] == 4
