"""Test the results and the one-line errors of bin/measure.py."""

import json

import pytest
from measure_tools import noise, save_network, write_side
from program_tools import assert_refused

from tfvrnn.cli import runtime
from tfvrnn.config import MeasureConfig
from tfvrnn.measurement import measure_videos


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return save_network(tmp_path_factory.mktemp("network") / "net")


@pytest.fixture
def sides(tmp_path):
    for side, first in (("A", 0), ("B [1]", 10)):
        write_side(tmp_path / side, [noise(first + number) for number in range(4)])
    return ["--real=A", "--generated=B [1]", "--lpips=none"]


def test_two_folders_are_measured(start, sides, network, tmp_path):
    code, out, err = start("measure.py", *sides, f"--fvd_network={network}", "--frames=9")
    assert code == 0, err
    figures = json.loads((tmp_path / "measured" / "measurement.json").read_text())["figures"]
    assert f"{figures['fvd']['value']:.2f}" in out and "4 real, 4 generated clips" in out
    assert out.splitlines()[-2:] == ["measured/measurement.json", "measured/measurement.html"]
    assert (tmp_path / "measured" / "measurement.html").is_file()
    direct = measure_videos(
        tmp_path / "A", tmp_path / "B [1]",
        MeasureConfig(fvd_network=network, lpips="none", frames=9), tmp_path / "direct",
    )  # fmt: skip
    assert direct.figures == figures
    again = ["--protocol=measured/measurement.json", *sides[:2], "--out=again"]
    assert start("measure.py", *again, "--save_statistics=real.npz")[0] == 0
    assert json.loads((tmp_path / "again" / "measurement.json").read_text())["figures"] == figures
    statistics = ["--real=real.npz", *sides[1:], f"--fvd_network={network}", "--frames=9"]
    code, out, _ = start("measure.py", *statistics, "--out=with")
    assert code == 0 and f"{figures['fvd']['value']:.2f}" in out


def test_what_is_odd_is_reported_on_standard_error(start, sides, network, tmp_path):
    (tmp_path / "A" / "stray.xyz").write_text("?")
    code, out, err = start("measure.py", *sides, f"--fvd_network={network}")
    assert code == 0 and "real: 1 left out: stray.xyz: not of the known kinds" in err
    assert "real: 1 left out: stray.xyz" in out


def test_an_interruption_says_how_to_continue(start, sides, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tfvrnn.measurement.measure_videos", interrupted)
    code, _, err = start("measure.py", *sides)
    assert code == runtime.INTERRUPTED and err == "stopped: the same command continues\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`real` must name a folder or a file"),
        (["--real=A"], "`generated` must name a folder or a file"),
        (["--real=A", "--generated=none"], "--generated must exist. Received: none"),
        (["SIDES", "--clips=last"], "first|centre|random|all"),
        (["SIDES", "--clips=all"], "`frames` must be above 0"),
        (["SIDES", "--frame=9"], "nearest is --frames"),
        (["SIDES", "--protocol=none.json"], "--protocol excludes --lpips"),
        (["SIDES", "--save_statistics=x.npy"], "must end in .npz"),
        (["SIDES", "--save_statistics=none/x.npz"], "no folder none"),
        (["SIDES", "--real_key=a"], "--real_key names an array in an .npz"),
        (["SIDES", "--fvd_network=none"], "without `paired`, only FVD and KVD are measured"),
        (["SIDES", "--fvd_network=nowhere"], "--fvd_network: no SavedModel in nowhere"),
        (["SIDES", "--size=8", "--filter=none", "--fit=stretch"], "nothing is resized"),
        (["SIDES", "--out=/proc/none"], "cannot write into /proc/none: No such file"),
        (["SIDES", "--frames=20"], "9 frames, at least 20 needed"),
    ],
)
def test_measure_refuses(start, sides, arguments, message):
    given = [part for word in arguments for part in (sides if word == "SIDES" else [word])]
    assert_refused_at_last(start("measure.py", *given), message)


def assert_refused_at_last(result, message):
    """Check like `assert_refused`, after the progress bars."""
    code, out, text = result
    assert_refused((code, out, text.splitlines()[-1] + "\n"), message)
