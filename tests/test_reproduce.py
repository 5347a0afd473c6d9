"""benchmarks/reproduce.py makes its tables and pictures from its records."""

import json
import sys

import pytest
from documents import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import reproduce
from studies import STUDIES, learns

sys.path.pop(0)

RUNS = tuple(STUDIES["quickstart"].runs)
NAMES = [name for run, name in reproduce.NAMES.items() if run in RUNS]
SMALL = ["--studies=quickstart", "--seeds=2", "--steps=2", "--videos=4", "--samples=1"]


def record(seed, fvd, lpips=None):
    """Make a record with equal figures of every run, but copying has no latents, and VRNN LPIPS."""
    measure = {"mean": {"curve": [0.6, 0.3]}, "best": {"mean": 0.5, "curve": [0.6, 0.4]}}
    figures = {
        "fvd": {"mean": fvd}, "kvd": {"mean": 2.0}, "ssim": measure, "psnr": measure,
        "spread": {"mean": 0.25}, "reconstruction": 12.5, "lpips": None,
        "levels": {"8": {"nats": 0.5, "active": 3, "channels": 16}},
    }  # fmt: skip
    names = STUDIES["quickstart"].runs_of(seed)
    runs = {name: {"parameters": 1200, "figures": figures} for name in names}
    for name in filter(learns, runs):
        runs[name] |= {"steps": [1, 2], "losses": [8.0, fvd], "frames_per_second": 30.0}
    runs["copy_last"]["figures"] = figures | {"levels": {}}
    runs["vrnn"]["figures"] = figures | {"lpips": lpips}
    asked = {"study": "quickstart", "steps": 2, "seed": seed, "videos": 4, "samples": 1}
    return {"asked": asked, "machine": "some", "runs": runs}


@pytest.fixture
def docs(tmp_path):
    (tmp_path / "recorded").mkdir()
    for seed, fvd in enumerate((3.0, 5.0)):
        (tmp_path / "recorded" / f"quickstart_{seed}.json").write_text(
            json.dumps(record(seed, fvd))
        )
    page = "before\n<!-- quickstart: begin -->\nold\n<!-- quickstart: end -->\nafter\n"
    (tmp_path / "results.md").write_text(page)
    return tmp_path


def test_the_table_is_of_all_seeds_and_stands_between_its_marks(docs):
    reproduce.main([*SMALL, f"--docs={docs}"])
    before, _, *rows, _, after = (docs / "results.md").read_text().splitlines()
    assert (before, after) == ("before", "after") and "old" not in rows
    vrnn = rows[5]
    cells = [cell.strip() for cell in vrnn.strip("|").split("|")]
    assert cells[:4] == ["VRNN", "1,200", "4.0 ± 1.4", "2.00"]
    assert cells[-1] == "0.50 (3, 3 of 16)"
    assert rows[2].endswith(" | - |")  # copying has no latents
    once = rows[-1]  # of the first seed only
    assert once.startswith("| dense decoder, scheduled sampling | 1,200 | 3.0 |")
    assert (docs / "images" / "quickstart_curves.png").stat().st_size > 1000


def test_studies_that_share_a_table_name_their_presets():
    studies = ("shipped_smmnist", "shipped_sim_push")
    rows = reproduce.table({name: [record(0, 3.0)] for name in studies}).splitlines()[2:]
    assert len(rows) == 2 * len(RUNS)
    card = "| [smmnist](../tfvrnn/pretrained/smmnist/README.md): copy-last | 1,200 | 3.0 |"
    assert rows[0].startswith(card)
    assert "pretrained/sim_push/README.md): copy-last" in rows[len(RUNS)]


def test_lpips_is_a_column_where_a_run_has_it():
    def column(*of_vrnn):
        records = [record(seed, 3.0, lpips) for seed, lpips in enumerate(of_vrnn)]
        rows = [line.split(" | ") for line in reproduce.table({"quickstart": records}).splitlines()]
        if "LPIPS ↓" not in rows[0]:
            return None
        place = rows[0].index("LPIPS ↓")
        return {row[0].removeprefix("| "): row[place] for row in rows[2:]}

    first, second = ({"best": {"mean": mean}} for mean in (0.25, 0.35))
    others = dict.fromkeys([name for name in NAMES if name != "VRNN"], "-")
    assert column(None, None) is None
    assert column(first, second) == others | {"VRNN": "0.3000 ± 0.0707"}
    assert column(first, None) == others | {"VRNN": "-"}  # an older record has none


def test_a_study_of_equal_time_shows_its_steps():
    one = record(0, 3.0)
    for name in filter(learns, one["runs"]):
        one["runs"][name]["last_step"] = 1234
    heads, _, first, second, *_ = reproduce.table({"paper_pusht": [one]}).splitlines()
    assert heads.startswith("| run | parameters | steps | FVD ↓ |")
    assert first.startswith("| copy-last | 1,200 | - | 3.0 |")
    assert second.startswith("| PredNet | 1,200 | 1,234 | 3.0 |")
    assert "steps" not in reproduce.table({"quickstart": [one]})


def test_a_record_of_other_sizes_is_refused(docs):
    with pytest.raises(reproduce.UserError, match="another --docs"):
        reproduce.main([*SMALL, "--steps=3", f"--docs={docs}"])


def test_a_page_without_a_place_for_the_table_is_refused(docs):
    (docs / "results.md").write_text("no marks")
    with pytest.raises(reproduce.UserError, match="no place for the study"):
        reproduce.main([*SMALL, f"--docs={docs}"])


def test_every_study_has_names_for_its_runs():
    for study in STUDIES.values():
        assert set(study.runs) <= set(reproduce.NAMES)


def test_every_run_has_a_colour_and_a_line_of_its_own():
    assert len(reproduce.NAMES) <= 10 * len(reproduce.LINES)


def test_figures_are_interquartile_means_over_the_seeds():
    assert reproduce.over_seeds([7.0], ".1f") == "7.0"
    assert reproduce.over_seeds([1.0, 2.0], ".2f") == "1.50 ± 0.71"
    mean = (2 + 4 * 4 + 100) / 6  # the median of three counts four times
    assert reproduce.over_seeds([100.0, 2.0, 4.0], ".2f").startswith(f"{mean:.2f} ± ")
    assert reproduce.over_seeds([9.0, 2.0, 4.0, 0.0], ".1f").startswith("3.0 ± ")
    assert reproduce.over_seeds([0.5, 0.5 + 1e-9], ".1f") == "0.5"  # equal but for rounding


def test_losses_fall_from_one_to_zero():
    assert reproduce.falling([4.0, 3.0, -4.0]) == [1.0, 0.875, 0.0]
    assert reproduce.falling([2.0]) == [0.0]


def test_the_page_has_a_place_for_every_study_that_it_shows():
    page = ROOT / "docs" / "results.md"
    for study in reproduce.SHOWN:
        assert reproduce.place_of(study, page)
        assert page.read_text("utf-8").count(f"<!-- {study}: begin -->") == 1
