"""Whole measurements: figures, files, resuming, and repeating a protocol."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from measure_tools import noise, write_side

from tfvrnn import metrics
from tfvrnn.config import UserError
from tfvrnn.measurement import features, measure_videos, parts, read_measurement
from tfvrnn.metrics.i3d import FeatureNetwork

REAL = [noise(number) for number in range(6)]
GENERATED = [noise(100 + number) for number in range(6)]


@pytest.fixture
def sides(tmp_path):
    write_side(tmp_path / "real", REAL)
    write_side(tmp_path / "generated", GENERATED)
    return tmp_path / "real", tmp_path / "generated"


def expected(network, real=REAL, generated=GENERATED):
    network = FeatureNetwork(network)
    pair = network(np.stack(real)), network(np.stack(generated))
    return metrics.frechet_distance(*pair), metrics.kernel_distance(*pair)


def test_the_distances_are_those_of_the_videos(sides, settings, network, tmp_path):
    found = measure_videos(*sides, settings(), tmp_path / "out")
    fvd, kvd = expected(network)
    np.testing.assert_allclose(found.figures["fvd"]["value"], fvd, rtol=1e-4)
    np.testing.assert_allclose(found.figures["kvd"]["value"], kvd, rtol=1e-4)
    assert found.figures["fvd"]["real"] == found.figures["fvd"]["generated"] == 6
    assert found.figures["fvd_infinity"]["real"] == 6
    assert found.figures["ssim"] is None and found.protocol["pairs"] is None
    assert found.path == tmp_path / "out" / "measurement.json" and not found.notes
    np.testing.assert_array_equal(found.shown[:, 0], np.stack(REAL[:4]))
    np.testing.assert_array_equal(found.shown[:, 1], np.stack(GENERATED[:4]))


def test_arrays_of_any_kind_give_the_same_figures(sides, settings, tmp_path):
    from_folders = measure_videos(*sides, settings(), tmp_path / "out").figures
    np.save(tmp_path / "real.npy", np.stack(REAL))
    np.savez(tmp_path / "one.npz", np.stack(GENERATED))
    both = {"generated": np.stack(GENERATED), "real": np.stack(REAL)}
    np.savez_compressed(tmp_path / "both.npz", **both)
    named = measure_videos(
        tmp_path / "both.npz", tmp_path / "both.npz", settings(), tmp_path / "named",
        real_key="real", generated_key="generated",
    )  # fmt: skip
    mixed = measure_videos(tmp_path / "real.npy", tmp_path / "one.npz", settings(), tmp_path / "m")
    inside = measure_videos(np.stack(REAL), np.stack(GENERATED), settings(), tmp_path / "inside")
    assert named.figures == mixed.figures == inside.figures == from_folders
    assert inside.protocol["sides"]["real"]["kind"] == "array"


def test_pairs_are_measured_frame_by_frame(settings, tmp_path):
    truth = np.stack(REAL[:3])
    samples = np.stack([[noise(10 * n + s) for s in range(3)] for n in range(3)])
    found = measure_videos(truth, samples, settings(paired=True, ssim="uniform"), tmp_path / "out")
    frames, same = (
        (x / 255).astype(np.float32)
        for x in (samples, np.broadcast_to(truth[:, None], samples.shape))
    )
    for name, values in (
        ("psnr", np.minimum(metrics.psnr(frames, same), 100)),
        ("ssim", metrics.ssim(frames, same, "uniform").numpy()),
    ):
        np.testing.assert_allclose(found.values[name], values, rtol=1e-4, atol=1e-5)
        means, figure = values.mean(axis=2), found.figures[name]
        np.testing.assert_allclose(figure["best"]["mean"], means.max(axis=1).mean(), rtol=1e-4)
        np.testing.assert_allclose(figure["worst"]["mean"], means.min(axis=1).mean(), rtol=1e-4)
        np.testing.assert_allclose(figure["mean"]["mean"], means.mean(), rtol=1e-4)
        curve = values.mean(axis=(0, 1))
        np.testing.assert_allclose(figure["mean"]["curve"], curve, rtol=1e-4)
        low, high = metrics.bootstrap_interval(found.values[name].mean(axis=(1, 2)))
        np.testing.assert_allclose(figure["mean"]["interval"], (low, high), rtol=1e-5)
    # FVD compares the truth with the first sample of each video.
    assert found.figures["fvd"]["generated"] == 3 and found.names == ["0", "1", "2"]
    assert found.rows == ["real", "best", "sample 0", "sample 1", "sample 2"]
    best = found.values["ssim"].mean(axis=2).argmax(axis=1)
    np.testing.assert_array_equal(found.shown[:, 1], samples[np.arange(3), best])


def test_samples_in_folders_and_of_numbered_names_are_found(sides, settings, tmp_path):
    numbered = [f"{n}_{s}" for n in range(3) for s in range(2)]
    videos = [noise(50 + k) for k in range(6)]
    write_side(tmp_path / "numbered", videos, numbered)
    write_side(tmp_path / "folders", videos, [name.replace("_", "/") for name in numbered])
    choices = settings(paired=True, fvd_network="none")
    first = measure_videos(sides[0], tmp_path / "numbered", choices, tmp_path / "a")
    other = measure_videos(sides[0], tmp_path / "folders", choices, tmp_path / "b")
    assert first.figures == other.figures and first.protocol["pairs"] == {"videos": 3, "samples": 2}
    assert "real: 3 left out: 3: no generated video of its name" in first.notes[0]


def test_unequal_numbers_of_samples_are_reported_and_cut(settings, tmp_path):
    write_side(tmp_path / "real", REAL[:2])
    write_side(tmp_path / "generated", GENERATED[:3], ["0_0", "0_1", "1_0"])
    choices = settings(paired=True, fvd_network="none")
    sides = tmp_path / "real", tmp_path / "generated"
    found = measure_videos(*sides, choices, tmp_path / "out")
    assert found.values["psnr"].shape == (2, 1, 9)
    told = "samples: the first 1 of each video are measured, as many as each has; 1 have more: 0"
    assert told in found.notes


class Stopped(FeatureNetwork):
    """Raises an interruption at its third call."""

    def __init__(self, source):
        super().__init__(source)
        self.calls = []

    def __call__(self, videos, batch_size=4):
        self.calls.append(len(videos))
        if len(self.calls) == 3:
            raise KeyboardInterrupt
        return super().__call__(videos, batch_size)


def test_an_interrupted_measurement_continues_and_damaged_parts_are_computed_again(
    sides, settings, network, tmp_path, monkeypatch
):
    whole = measure_videos(*sides, settings(), tmp_path / "whole").figures
    monkeypatch.setattr(parts, "AT_ONCE", 3)
    stopped = Stopped(network)
    monkeypatch.setattr(metrics, "feature_network", lambda *_: stopped)
    with pytest.raises(KeyboardInterrupt):
        measure_videos(*sides, settings(), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.json"))
    assert measure_videos(*sides, settings(), tmp_path / "out").figures == whole
    assert stopped.calls == [3, 3, 3, 3, 3]  # the third call was stopped
    for path in (tmp_path / "out").glob("measurement.*"):
        path.unlink()
    features_there = sorted((tmp_path / "out" / "parts").iterdir(), key=lambda p: p.stat().st_mtime)
    assert len(features_there) == 8  # four parts of the survey, four of features
    features_there[-1].write_bytes(features_there[-1].read_bytes()[:-100])
    assert measure_videos(*sides, settings(), tmp_path / "out").figures == whole
    assert stopped.calls == [3, 3, 3, 3, 3, 3]


def test_what_was_measured_is_read_and_what_changed_is_measured(
    sides, settings, tmp_path, monkeypatch
):
    first = measure_videos(*sides, settings(), tmp_path / "out")
    with monkeypatch.context() as not_again:
        not_again.setattr(features, "read_clips", lambda *_: pytest.fail("read again"))
        again = measure_videos(*sides, settings(cache_dir="elsewhere"), tmp_path / "out")
    assert again.figures == first.figures and again.path == first.path
    other = measure_videos(*sides, settings(subsets=5), tmp_path / "out")
    assert other.path.stem.startswith("measurement-")
    assert read_measurement(first.path).figures == first.figures  # the first measurement stays
    shutil.rmtree(sides[1] / "0")
    write_side(sides[1] / "x", [noise(999)])
    (sides[1] / "x" / "0").rename(sides[1] / "0")
    changed = measure_videos(*sides, settings(), tmp_path / "out")
    assert changed.figures["fvd"] != first.figures["fvd"]


def test_two_at_once_are_refused(sides, settings, tmp_path, monkeypatch):
    def again(*_):
        return measure_videos(*sides, settings(), tmp_path / "out")

    monkeypatch.setattr("tfvrnn.measurement.measure._plan", again)
    with pytest.raises(UserError, match="is measuring into"):
        again()


def test_a_protocol_repeats_the_choices(sides, settings, tmp_path):
    choices = settings(frames=9, size=8, filter="bicubic", fit="stretch", subsets=3)
    first = measure_videos(*sides, choices, tmp_path / "out")
    again = measure_videos(*sides, None, tmp_path / "again", protocol_file=first.path)
    assert again.protocol == first.protocol and again.figures == first.figures
    # It does so on other folders, too.
    swapped = measure_videos(*sides[::-1], None, tmp_path / "x", protocol_file=first.path)
    assert swapped.protocol["settings"] == first.protocol["settings"]
    content = json.loads(first.path.read_text())
    content["protocol"]["weights"]["fvd_sha256"] = "another"
    first.path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"measurement differs .*weights\.fvd_sha256: .*, another"):
        measure_videos(*sides, None, tmp_path / "y", protocol_file=first.path)
    for text in ("{}", '{"protocol": {"settings": {"frames": "many"}}}', '{"protocol": []}'):
        first.path.write_text(text)
        with pytest.raises(UserError, match="holds no protocol of a measurement"):
            measure_videos(*sides, None, tmp_path / "z", protocol_file=first.path)


def test_statistics_stand_for_the_real_side(sides, settings, tmp_path):
    file = tmp_path / "real.npz"
    first = measure_videos(*sides, settings(), tmp_path / "out", save_statistics=file)
    found = measure_videos(file, sides[1], settings(), tmp_path / "other")
    for name in ("fvd", "kvd", "fvd_infinity"):
        assert found.figures[name] == first.figures[name]
    kept, ours = (x.protocol["sides"]["real"] for x in (first, found))
    assert ours["content_sha256"] == kept["content_sha256"] and ours["kind"] == "statistics"
    assert found.rows == ["generated"]
    for choices, message in (
        (settings(size=8), r"another protocol \(here, there\): .*reading.height: 8, 16"),
        (settings(frames=9, clips="centre"), r"choices.clips: centre, first"),
        (settings(paired=True), "statistics have no frames"),
    ):
        with pytest.raises(UserError, match=message):
            measure_videos(file, sides[1], choices, tmp_path / "refused")
    with pytest.raises(UserError, match="only --real may be a file of statistics"):
        measure_videos(sides[0], file, settings(), tmp_path / "refused")
    arrays = dict(np.load(file)) | {"features": np.full((6, 12), np.nan)}
    np.savez(file, **arrays)
    with pytest.raises(UserError, match="is damaged: its features are not finite"):
        measure_videos(file, sides[1], settings(), tmp_path / "refused")


def test_without_weights_the_rest_is_measured(sides, settings, tmp_path, monkeypatch, capsys):
    def unavailable(*_):
        raise metrics.WeightsUnavailable("no network")

    monkeypatch.setattr(metrics, "feature_network", unavailable)
    choices = settings(paired=True, fvd_network="i3d")
    found = measure_videos(*sides, choices, tmp_path / "out")
    note = "FVD and KVD are not measured: no network"
    assert found.figures["fvd"] is None and found.figures["psnr"]["mean"]["mean"] > 0
    assert note in found.notes and note in capsys.readouterr().err.splitlines()
    assert found.protocol["weights"]["fvd_sha256"] is None
    with pytest.raises(UserError, match=r"nothing is left to measure: FVD and KVD .*: no network"):
        measure_videos(*sides, settings(fvd_network="i3d"), tmp_path / "out")
    with pytest.raises(UserError, match="--fvd_network: no network"):
        measure_videos(*sides, settings(), tmp_path / "out")


def test_features_that_are_no_numbers_are_left_out_and_named(
    sides, settings, network, tmp_path, monkeypatch
):
    class Faulty(FeatureNetwork):
        def __call__(self, videos, batch_size=4):
            found = super().__call__(videos, batch_size)
            found[(videos == REAL[2]).all(axis=(1, 2, 3, 4))] = np.nan
            return found

    faulty = Faulty(network)
    monkeypatch.setattr(metrics, "feature_network", lambda *_: faulty)
    found = measure_videos(*sides, settings(), tmp_path / "out")
    assert "real: 1 clips have features that are not finite" in found.notes[-1]
    assert found.notes[-1].endswith(": 2")
    fvd, _ = expected(network, real=REAL[:2] + REAL[3:])
    np.testing.assert_allclose(found.figures["fvd"]["value"], fvd, rtol=1e-4)
    assert found.figures["fvd"]["real"] == 5


def test_lpips_is_measured_of_pairs(settings, tmp_path, monkeypatch):
    class Distance:
        digest = "1" * 64

        def __call__(self, frames, truth):
            return tf.reduce_mean(abs(frames - truth), (1, 2, 3))

    monkeypatch.setattr(metrics, "perceptual_network", lambda *_: Distance())
    real, generated = (np.stack([noise(k, height=32, width=32)] * 2) for k in (1, 2))
    choices = settings(paired=True, lpips="alex", fvd_network="none")
    found = measure_videos(real, generated, choices, tmp_path / "out")
    difference = abs(real / 255.0 - generated / 255.0).mean(axis=(2, 3, 4))
    np.testing.assert_allclose(found.values["lpips"][:, 0], difference, rtol=1e-4)
    assert found.protocol["weights"]["lpips_sha256"] == "1" * 64
    small = measure_videos(real[:, :, :16], generated[:, :, :16], choices, tmp_path / "small")
    assert small.figures["lpips"] is None
    assert any(note.startswith("LPIPS is not measured: `frames` must be") for note in small.notes)
