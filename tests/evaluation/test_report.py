import base64
import dataclasses
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfvrnn import media
from tfvrnn.config import UserError
from tfvrnn.evaluation import Result, table, write_report
from tfvrnn.evaluation.figures import summarize
from tfvrnn.evaluation.grid import draw_grid


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
    assert "not measured" in lines[4] and "±" in lines[4]


def test_any_name_of_a_run_is_written_as_it_is(tmp_path):
    write_report([result(r"$\frac$"), result("_hidden")], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "_hidden" in text
