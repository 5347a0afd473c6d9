import re

import numpy as np
import pytest
from measure_tools import noise

from tfvrnn.measurement import measure_videos, table, write_report


@pytest.fixture(scope="module")
def paired(network, tmp_path_factory):
    from tfvrnn.config import MeasureConfig

    real = np.stack([noise(number) for number in range(5)])
    samples = np.stack([[noise(10 * n + s) for s in range(2)] for n in range(5)])
    choices = MeasureConfig(fvd_network=network, paired=True, ssim="uniform")
    return measure_videos(real, samples, choices, tmp_path_factory.mktemp("paired"))


def test_the_table_has_every_figure_with_its_interval_and_number(paired):
    lines = table(paired).splitlines()
    figures = paired.figures
    assert lines[0].startswith("Clips of 9 frames, 16x16; clips=first, start=0, stride=1.")
    assert "FVD uses the first sample of each video." in lines[0]
    assert lines[1].startswith("LPIPS is not measured: `frames` must be at least 31 pixels")
    rows = {line.split("  ")[0]: line for line in lines[2:]}
    low, high = figures["fvd"]["interval"]
    assert f"{figures['fvd']['value']:.2f}" in rows["FVD ↓"]
    assert f"{low:.2f} to {high:.2f}" in rows["FVD ↓"]
    assert rows["FVD ↓"].endswith("5 real, 5 generated clips")
    [best] = [line for line in lines if line.startswith("SSIM") and "best of 2 samples" in line]
    low, high = figures["ssim"]["best"]["interval"]
    assert f"{figures['ssim']['best']['mean']:.4f}" in best and f"{low:.4f} to {high:.4f}" in best
    assert rows["LPIPS ↓"].split("  ")[-1].strip() == "not measured"


def test_the_report_is_one_file_with_clips_curves_and_protocol(paired, tmp_path):
    write_report(paired, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    sources = re.findall(r"(?:src|href)='([^']*)'", text)
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert text.count("image/gif") == 4 and text.count("image/png") == 4 * 4  # examples, rows
    assert text.count("<svg") == 2  # SSIM and PSNR
    assert paired.protocol["code_sha256"] in text and "best" in text
    assert f"{paired.figures['fvd']['value']:.2f}" in text


def test_names_are_escaped_and_long_lists_cut(paired, tmp_path):
    import dataclasses

    treatment = {"real": {"left_out": {f"<{n}>": "?" for n in range(50)}, "cut": ["x"] * 30}}
    changed = dataclasses.replace(
        paired, generated="/a/<b>&\udcff", treatment=treatment, notes=["<note>"]
    )
    write_report(changed, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<b>" not in text and "&lt;b&gt;&amp;?" in text and "<note>" not in text
    assert "&lt;19&gt;" in text and "&lt;20&gt;" not in text and "and 30 more" in text


def test_without_pairs_clips_of_both_sides_are_shown(settings, tmp_path):
    large = [np.stack([noise(n, 60, 40, 400) for n in side]) for side in ((1, 2), (3, 4))]
    found = measure_videos(*large, settings(examples=1), tmp_path / "out")
    assert found.shown.shape == (1, 2, 48, 19, 192, 3) and found.rows == ["real", "generated"]
    write_report(found, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Clips shown side by side are unrelated" in text and "<svg" not in text
    none = measure_videos(*large, settings(examples=0), tmp_path / "out")
    write_report(none, tmp_path / "report.html")
    assert "data:image" not in (tmp_path / "report.html").read_text()
