"""Test benchmarks/fvd_differences.py, with a cheap network instead of I3D."""

import json
import sys

import numpy as np
import pytest
from documents import ROOT

from tfvrnn import metrics

sys.path.insert(0, str(ROOT / "benchmarks"))
import fvd_differences
from fvd_differences import ROWS

sys.path.pop(0)

# One row of every kind. All rows would take a minute.
TRIED = (
    "none: 16 frames after the context, 64x64",
    "to 224 by nearest neighbour",
    "down to 24, area",
    "down to 24, nearest neighbour",
    "the context and 14 frames",
    "10 frames",
    "N / 4",
    "N / 8",
    "JPEG, quality 95",
    "JPEG, quality 75",
    "MP4 (H.264), crf 28",
)
OPTIONS = ["--dataset=smmnist", "--clips=16"]
MARKS = [f"<!-- fvd_differences_smmnist: {end} -->" for end in ("begin", "end")]


class Network:
    """Takes the means over quarters of the picture and over time, at the size and filter given."""

    digest = "0" * 64

    def __call__(self, videos):
        side = videos.shape[2] // 2
        quarters = [videos[:, :, y:, x:][:, :, :side, :side] for y in (0, side) for x in (0, side)]
        parts = [np.square(quarter / 255.0).mean(axis=(1, 2, 3, 4)) for quarter in quarters]
        return np.stack(parts, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return (folder, record) of a whole run."""
    folder = tmp_path_factory.mktemp("differences")
    (folder / "docs").mkdir()
    page = f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n"
    (folder / "docs" / "why_fvds_differ.md").write_text(page)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(metrics, "feature_network", lambda *_: Network())
        patched.setattr(metrics, "frechet_infinity", lambda *_, **__: 0.0)  # it is not recorded
        patched.setattr(fvd_differences, "ROWS", {name: ROWS[name] for name in TRIED})
        fvd_differences.main([*OPTIONS, f"--out={folder}"])
    record = folder / "docs" / "recorded" / "fvd_differences_smmnist.json"
    return folder, json.loads(record.read_text())


@pytest.mark.thorough
def test_the_rows_are_of_what_they_say(found):
    folder, record = found
    clips = folder / "clips" / "smmnist_test_16"
    a, b, m = (np.load(clips / f"{name}.npy") for name in "ABM")
    assert a.shape == (16, 30, 64, 64, 1) and not (clips / "changed").exists()
    np.testing.assert_array_equal(b[:, :2], m[:, :2])  # the context
    lost = np.abs(b[:, 2:].astype(int) - m[:, 2:]).mean(axis=(0, 2, 3, 4))
    assert (np.diff(lost[::9]) > 0).all()  # blurred more and more

    def distance(real, generated, frames):
        return metrics.frechet_distance(*(Network()(x[:, frames]) for x in (real, generated)))

    assert list(record["rows"]) == list(TRIED) and record["i3d_sha256"] == Network.digest
    for name, frames in (
        ("none: 16 frames after the context, 64x64", slice(2, 18)),
        ("the context and 14 frames", slice(0, 16)),
        ("10 frames", slice(2, 12)),
    ):
        row = record["rows"][name]
        assert list(row) == ["real", "model"]
        np.testing.assert_allclose(row["real"]["fvd"]["value"], distance(a, b, frames), rtol=1e-4)
        np.testing.assert_allclose(row["model"]["fvd"]["value"], distance(a, m, frames), rtol=1e-4)
    quarter = record["rows"]["N / 4"]["real"]["fvd"]
    assert quarter["clips"] == 4
    expected = distance(a[:4], b[:4], slice(2, 18))
    np.testing.assert_allclose(quarter["value"], expected, rtol=1e-4)


@pytest.mark.thorough
def test_a_change_of_one_side_is_measured_on_the_same_clips(found):
    _, record = found
    rows = {name: columns for name, columns in record["rows"].items() if "same" in columns}
    assert list(rows) == [*TRIED[1:4], *TRIED[-3:]]
    same = {name: columns["same"]["fvd"]["value"] for name, columns in rows.items()}
    assert min(same.values()) > -1e-6
    assert same["JPEG, quality 75"] > same["JPEG, quality 95"]
    assert same["MP4 (H.264), crf 28"] > 1e-6
    # Every pixel counts once, or three and four times, so the means change little.
    assert same["to 224 by nearest neighbour"] < same["down to 24, area"]


@pytest.mark.parametrize("method", ["plain_bilinear", "nearest"])
def test_without_antialias_pixels_between_are_not_seen(method):
    clip = np.zeros((1, 72, 72, 1), np.uint8)
    clip[:, 0::3], clip[:, 2::3] = 255, 255  # the middle one of three rows is taken
    assert fvd_differences.CHANGES[method](clip).max() == 0


@pytest.mark.thorough
def test_a_record_is_not_measured_again_and_stands_in_the_page(found, monkeypatch, capsys):
    folder, record = found
    text = (folder / "docs" / "why_fvds_differ.md").read_text().splitlines()
    assert (text[0], text[1], text[-2], text[-1]) == ("before", *MARKS, "after")
    first = record["rows"]["none: 16 frames after the context, 64x64"]["real"]["fvd"]
    cells = [cell.strip() for cell in text[4].strip("|").split("|")]
    assert cells[:3] == ["none: 16 frames after the context, 64x64", "16", ""]
    assert cells[3] == f"{first['value']:.1f} ± {first['deviation']:.1f}"
    assert len(text) == 6 + len(TRIED)
    jpeg = next(line for line in text if line.startswith("| JPEG, quality 75"))
    same = record["rows"]["JPEG, quality 75"]["same"]["fvd"]
    assert jpeg.split(" | ")[2] == f"{same['value']:.1f}" and same["deviation"] is None
    (few,) = [line for line in text if line.startswith("| N / 8")]  # two clips have no halves
    assert few.split(" | ")[1] == "2" and "±" not in few
    monkeypatch.setattr(fvd_differences, "ROWS", {name: ROWS[name] for name in TRIED})
    monkeypatch.setattr(fvd_differences, "Bench", lambda *_: pytest.fail("measured again"))
    fvd_differences.main([*OPTIONS, f"--out={folder}"])
    assert capsys.readouterr().out.splitlines()[: len(text) - 4] == text[2:-2]
