"""Test the results and the one-line errors of bin/evaluate.py and bin/fetch_weights.py."""

import errno
import json
import os
import shutil

import pytest
from program_tools import assert_refused

from tfvrnn import files, presets
from tfvrnn.cli import evaluate

QUICK = [
    "--eval.videos=2",
    "--eval.samples=2",
    "--eval.batch_size=2",
    "--eval.ssim=uniform",
    "--eval.lpips=none",
    "--eval.fvd_network=none",
]


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_a_run_and_then_two_are_evaluated(start, small_run, tmp_path):
    runs = [shutil.copytree(small_run, tmp_path / name) for name in ("a", "b")]
    code, out, _ = start("evaluate.py", f"--run_dir={runs[0]}", *QUICK)
    assert code == 0 and "SSIM" in out
    assert (runs[0] / "evaluation" / "report.html").is_file()
    figures = json.loads((runs[0] / "evaluation" / "smmnist_2to2_2x2.json").read_text())["figures"]
    assert f"{figures['ssim']['best']['mean']:.3f}" in out
    code, out, _ = start("evaluate.py", f"--runs={runs[0]},{runs[1]}", *QUICK)
    assert code == 0 and len(out.splitlines()) == 8
    assert (tmp_path / "report.html").is_file()
    assert out.splitlines()[-1] == "report_grid.png"
    default = (tmp_path / "report_grid.png").read_bytes()
    files = sorted(path for path in tmp_path.rglob("evaluation/*.json"))
    code, _, _ = start("evaluate.py", f"--runs={runs[0]},{runs[1]}", "--grid_times=2,4", *QUICK)
    assert code == 0 and (tmp_path / "report_grid.png").read_bytes() != default
    assert sorted(path for path in tmp_path.rglob("evaluation/*.json")) == files  # not measured


def test_a_result_that_is_there_is_read_where_nothing_can_be_written(
    start, copying_run, tmp_path, monkeypatch
):
    run = shutil.copytree(copying_run, tmp_path / "run")
    assert start("evaluate.py", "--run_dir=run", *QUICK)[0] == 0
    (run / "evaluation" / "report.html").unlink()
    there = sorted(run.rglob("*"))
    # Root may write everywhere, so the file system's answer is faked.
    tried = files.check_writable

    def check(folder):
        if folder.resolve().is_relative_to(run):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        tried(folder)

    monkeypatch.setattr(files, "check_writable", check)
    code, out, _ = start("evaluate.py", "--run_dir=run", "--report=x.html", *QUICK)
    assert code == 0 and "SSIM" in out and (tmp_path / "x.html").is_file()
    result = start("evaluate.py", "--run_dir=run", *QUICK)
    assert_refused(result, "cannot write run/evaluation/report.html: Read-only file system")
    result = start("evaluate.py", "--run_dir=run", "--report=x.html", *QUICK, "--eval.seed=1")
    assert_refused(result, "cannot write into run folder run: Read-only file system")
    assert sorted(run.rglob("*")) == there


def test_runs_may_have_commas_in_their_names(start):
    def named(runs):
        return evaluate.Options(runs=runs).run_dirs

    assert named("a, b ,c [1]") == ["a", "b", "c [1]"]
    assert named('"a,b",c') == ["a,b", "c"]
    assert named('a"b,c') == ['a"b', "c"]
    for runs in ("a\nb", "\n"):
        assert_refused(start("evaluate.py", f"--runs={runs}"), "`runs` must name run folders")


@pytest.mark.thorough
@pytest.mark.usefixtures("eagerly")
def test_a_pretrained_model_is_measured_in_a_folder_of_its_own(start, tmp_path):
    code, out, _ = start("evaluate.py", "--pretrained=smmnist", *QUICK)
    assert code == 0 and "pretrained_smmnist" in out
    assert list((tmp_path / "runs" / "pretrained_smmnist" / "evaluation").glob("*.json"))
    assert not (presets.FOLDER / "smmnist" / "evaluation").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of `run_dir`, `pretrained` and `runs`"),
        (["--run_dir=RUN", "--pretrained=smmnist"], "one of `run_dir`, `pretrained` and `runs`"),
        (["--run_dir=none"], "no run in none"),
        (["--runs=a,,b"], "must name run folders"),
        (["--runs=a,a"], "must differ"),
        (["--run_dir=RUN", "--report=x.pdf"], "must end in .html"),
        (["--run_dir=RUN", "--grid_times=1,x"], "grid_times"),
        (["--run_dir=RUN", "--grid_times=1,2", *QUICK], "must lie in 1 to 4, one of them after"),
        (["--run_dir=RUN", "--report=none/x.html"], "no folder none"),
        (["--run_dir=RUN", "--eval.samples=0"], "`samples` must be at least 1"),
        (["--run_dir=RUN", "--eval.split=train"], "test|validation"),
        (["--run_dir=RUN", "--eval.sample=3"], "nearest is --eval.samples"),
        (["--run_dir=RUN", "--eval.name=a/b"], "letters, digits"),
        (["--run_dir=RUN", "--protocol=none.json"], "cannot be read"),
        (["--run_dir=RUN", "--protocol=none.json", *QUICK], "excludes --eval.batch"),
    ],
)
def test_evaluate_refuses(start, copying_run, arguments, message):
    arguments = [argument.replace("RUN", str(copying_run)) for argument in arguments]
    assert_refused(start("evaluate.py", *arguments), message)
    assert not (copying_run / "evaluation").exists()


def test_fetch_weights_refuses(start, tmp_path):
    cache = f"--cache_dir={tmp_path / 'cache'}"
    (tmp_path / "file").write_bytes(b"something else")
    assert_refused(start("fetch_weights.py", "i4d"), "i3d|lpips_alex|lpips_vgg")
    assert_refused(
        start("fetch_weights.py", "i3d", "--source=file", cache), "not the expected file"
    )
    assert_refused(start("fetch_weights.py", "i3d", "--source=none", cache), "cannot be read")
    assert not (tmp_path / "cache").exists()
    (tmp_path / "i3d.npz").write_bytes(b"something else")
    assert_refused(start("fetch_weights.py", "i3d", f"--cache_dir={tmp_path}"), "delete it")
