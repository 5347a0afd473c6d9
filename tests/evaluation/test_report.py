import base64
import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from tfvrnn import media
from tfvrnn.config import Config, TrainConfig, UserError
from tfvrnn.evaluation import Result, table, write_report
from tfvrnn.evaluation.figures import summarize
from tfvrnn.evaluation.grid import draw_grid
from tfvrnn.evaluation.seeds import training_of
from tfvrnn.metrics import stratified_bootstrap
from tfvrnn.reporting.protocols import protocol_hash


def result(name, **measured):
    rng = np.random.default_rng(len(name))
    values = rng.uniform(size=(3, 2, 5))
    measured = {
        "ssim": values,
        "psnr": 20 * values,
        "spread": values[:, 0],
        "reconstruction": values[:, 0, 0],
        "kl_1": values[:, 0, 0],
        "channels_1": rng.uniform(size=(2, 4)),
    } | measured
    protocol = {
        "model": {"family": "vrnn", "parameters": 1234567, "step": 10},
        "data": {"dataset": "smmnist", "context_frames": 2, "image_shape": [8, 8, 1]},
        "settings": {
            "videos": 3, "samples": 2, "horizon": 5, "split": "test", "ssim": "gaussian",
            "fvd_frames": None, "fvd_network": "i3d", "fvd_context": False, "fvd_repeats": 1,
            "seed": 5,
        },
    }  # fmt: skip
    shown = rng.integers(0, 256, (1, 4, 7, 8, 8, 1), np.uint8)
    shown[:, 0] = np.arange(7)[:, None, None, None]  # the truth is the same for every run
    notes = ["LPIPS is not measured: <no network>"]
    return Result(name, Path("x.json"), protocol, summarize(measured, 5), notes, shown)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        self.sources += [attributes[key] for key in ("src", "href") if key in attributes]


def test_a_report_is_one_file_with_everything_in_it(tmp_path):
    write_report([result("first"), result("second & last")], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert page.tags.count("svg") == 3 and page.tags.count("script") == 0
    pictures = [source for source in page.sources if source.startswith("data:image/")]
    assert sum(source.startswith("data:image/gif") for source in pictures) == 2
    assert sum(source.startswith("data:image/png") for source in pictures) == 1 + 8
    outside = [source for source in page.sources if not source.startswith(("data:", "#"))]
    assert not outside and "url(http" not in text
    assert "second &amp; last" in text and "second & last" not in text
    assert "&lt;no network&gt;" in text and "not measured" in text
    assert re.search(r"<td>1,234,567</td>", text)
    strips = [source for source in pictures if source.startswith("data:image/png")]
    strip = Image.open(io.BytesIO(base64.b64decode(strips[1].partition(",")[2])))
    middles = [round((time + 0.5) * strip.width / 7) for time in range(7)]
    assert [strip.getpixel((x, 0)) for x in middles] == [media.GREEN] * 2 + [media.RED] * 5


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("settings", {"samples": 9}, r"settings\.samples: 2, 9"),
        ("data", {"context_frames": 3}, r"data\.context_frames: 2, 3"),
    ],
)
def test_runs_measured_unlike_are_not_put_side_by_side(tmp_path, section, change, message):
    one, other = result("one"), result("other")
    changed = {section: one.protocol[section] | change}
    other = dataclasses.replace(other, protocol=one.protocol | changed)
    with pytest.raises(UserError, match=message):
        write_report([one, other], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_grid_of_all_runs_is_in_the_report_and_beside_it(tmp_path):
    results = [result(name) for name in ("one", "second", "the third")]
    written = write_report(results, tmp_path / "all.html", grid_times=[1, 2, 4, 7])
    assert written == [tmp_path / "all.html", tmp_path / "all_grid.png"]
    systems = [(each.name, each.shown[:, 2]) for each in results]  # the first sample, not the best
    expected = np.asarray(draw_grid(results[0].shown[:, 0], systems, 2, [1, 2, 4, 7]))
    with Image.open(written[1]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected)
    text = written[0].read_text()
    assert base64.b64encode(written[1].read_bytes()).decode() in text
    assert "first videos of the test split" in text and "Its seed is 5 + 2 * video" in text
    written = write_report(results[:1], tmp_path / "one.html")
    assert written == [tmp_path / "one.html", tmp_path / "one_grid.png"]
    expected = draw_grid(results[0].shown[:, 0], systems[:1], 2, range(1, 8))
    with Image.open(written[1]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))


def test_without_examples_there_is_no_grid(tmp_path):
    bare = dataclasses.replace(result("bare"), shown=np.zeros((0, 2, 1, 1, 1, 1), np.uint8))
    assert write_report([bare], tmp_path / "report.html") == [tmp_path / "report.html"]
    assert "same contexts" not in (tmp_path / "report.html").read_text()


def test_runs_measured_on_other_videos_are_not_put_side_by_side(tmp_path):
    one, other = result("one"), result("other")
    other.shown[0, 0, 3] += 1
    with pytest.raises(UserError, match="one and other were measured on different videos"):
        write_report([one, other], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_the_table_names_what_was_not_measured_and_what_the_figures_are_of():
    lines = table([result("first"), result("second")]).splitlines()
    assert "3 videos of the test split" in lines[0]
    assert lines[1] == "first: LPIPS is not measured: <no network>"
    assert lines[3].startswith("run") and lines[4].startswith("first")
    figure = result("first").figures["ssim"]["best"]
    low, high = figure["interval"]
    assert (
        "not measured" in lines[4] and f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}]" in lines[4]
    )


def test_results_of_an_earlier_version_are_shown_with_what_they_have(tmp_path):
    old = result("old")
    for name in ("intervals", "given_latents", "calibration"):
        del old.figures[name]
    del old.figures["spread"]["interval"]
    for choice in old.figures["ssim"].values():
        del choice["interval"]
    best = old.figures["ssim"]["best"]
    line = table([old]).splitlines()[-1]
    assert f"{best['mean']:.3f} ± {best['deviation']:.3f}" in line
    assert f"  {old.figures['spread']['mean']:.4f}  " in line
    write_report([old, result("new", **spread())], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<td>old</td>" in text and "Is it really stochastic?" in text
    write_report([old], tmp_path / "report.html")
    assert "Is it really stochastic?" not in (tmp_path / "report.html").read_text()


def spread():
    """Make measured values of three videos. The first two also have futures with given latents."""
    rng = np.random.default_rng(3)
    given = rng.uniform(size=(2, 4, 5))
    squares = {"variance": np.full((3, 5), 1.0), "squared_error": np.full((3, 5), 6.0)}
    ranks = np.tile(np.array([1.0, 1.0, 2.0]), (3, 5, 1))
    return {"given_psnr": given, "given_ssim": given, "ranks": ranks, **squares}


@pytest.mark.thorough
def test_whether_models_are_stochastic_stands_in_the_report(tmp_path):
    results = [result(name, **spread()) for name in ("first", r"sec$\frac$ond & last")]
    write_report(results, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    section = text[text.index("Is it really stochastic?") : text.index("Futures of the same")]
    assert section.count("<svg") == 2 * 2 + 4  # PSNR and SSIM of each, and four of the spread
    assert "the first 2 videos" in section and "3 videos, 2 futures of each" in section
    figure = results[0].figures["given_latents"]["psnr"]["shuffled"]
    low, high = figure["interval"]
    assert f"<td>{figure['mean']:.2f} [{low:.2f}, {high:.2f}]</td>" in section
    assert "coverage, ideal 0.33</th>" in section and "<td>0.25 [0.25, 0.25]</td>" in section
    assert "spread / error, ideal 1.00</th>" in section and "<td>0.50 [0.50, 0.50]</td>" in section
    assert "<td>sec$\\frac$ond &amp; last</td>" in section


def test_seeds_of_one_configuration_are_taken_together(tmp_path):
    names = ("one", "second", "the third", "another")
    results = [result(name) for name in names]
    for seed, each in enumerate(results):
        each.training = {"seed": seed, "configuration": "b" if seed == 3 else "a"}
    lines = table(results).splitlines()
    assert lines[-1].startswith("3 seeds of one, interquartile mean  ") and len(lines) == 11
    scores = [each.figures["psnr"]["best"]["mean"] for each in results[:3]]
    expected = stats.trim_mean(scores, 0.25)
    _, low, high = stratified_bootstrap(scores)
    assert f"{expected:.2f} [{low:.2f}, {high:.2f}]" in lines[-1]
    written = write_report(results, tmp_path / "all.html")
    assert written[-1] == tmp_path / "all_seeds.json"
    (group,) = json.loads(written[-1].read_text())
    assert group["runs"] == ["one", "second", "the third"] and group["seeds"] == [0, 1, 2]
    assert group["figures"]["psnr"]["values"] == scores and group["figures"]["lpips"] is None
    np.testing.assert_allclose(group["figures"]["psnr"]["mean"], expected)
    assert lines[-1].partition("  ")[0] in written[0].read_text()


def test_equal_seeds_other_steps_and_old_results_are_not_taken_together(tmp_path):
    results = [result(name) for name in ("one", "second", "the third", "old one")]
    for each, (seed, step) in zip(results, [(0, 10), (0, 10), (1, 20)]):
        each.training = {"seed": seed, "configuration": "a"}
        each.protocol["model"]["step"] = step
    assert len(table(results).splitlines()) == 10  # explanation, four notes, heads, four runs
    assert not [
        path for path in write_report(results, tmp_path / "x.html") if path.suffix == ".json"
    ]


def test_any_name_of_a_run_is_written_as_it_is(tmp_path):
    write_report([result(r"$\frac$"), result("_hidden")], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "_hidden" in text


def test_options_at_their_default_do_not_change_the_configuration_of_seeds():
    """A later version's new option must not part the seeds of one configuration."""
    nothing = protocol_hash({"train": {}, "data": {}, "model": {}})
    moved = Config(train=TrainConfig(seed=3, run_dir="runs/x"))
    assert training_of(moved) == {"seed": 3, "configuration": nothing}
