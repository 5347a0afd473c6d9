"""Measure trained runs by FVD, KVD, SSIM, PSNR, LPIPS and spread.

    tfvrnn evaluate --run_dir=RUN [--eval.samples=100 ...]
    tfvrnn evaluate --pretrained=smmnist --flagfile=eval/quick.flags
    tfvrnn evaluate --runs=A,B,C --flagfile=eval/smmnist.flags --report=all.html
    tfvrnn evaluate --run_dir=RUN --protocol=RUN/evaluation/NAME.json

The results are a table, JSON and a report. An interrupted evaluation continues where it stopped. A
finished one is loaded from disk.
"""

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

from tfvrnn import backend, config_flags, presets
from tfvrnn.cli import runtime
from tfvrnn.cli.options import run_dir_option
from tfvrnn.config import EvalConfig, check_fields, option, require
from tfvrnn.runs import RunFolder, copy_pretrained


@dataclass(frozen=True)
class Options:
    """Options of `tfvrnn evaluate`."""

    run_dir: str = run_dir_option()
    pretrained: str = option(
        "",
        "Model that comes with the package, instead of a run. Results go to runs/pretrained_NAME.",
        ("", *presets.NAMES),
    )
    runs: str = option(
        "",
        "Run folders of several models, separated by commas, for one report. Quote a name that "
        'contains a comma: a,"b,c".',
    )
    report: str = option(
        "",
        "HTML file to write. Default: report.html in the run's evaluation/. With --runs: in the "
        "current folder.",
    )
    protocol: str = option("", "JSON of an earlier result, to compute its figures again.")
    grid_times: tuple[int, ...] | None = option(
        None,
        "Frames in the report's grid, counted from 1, such as 1,2,3,5,8; none: the last three "
        "context frames and up to nine predicted ones.",
    )
    eval: EvalConfig = field(default_factory=EvalConfig)

    def __post_init__(self):
        check_fields(self)
        given = (self.run_dir, self.pretrained, self.runs)
        require(
            sum(map(bool, given)) == 1,
            "exactly one of `run_dir`, `pretrained` and `runs` must be given.",
            ", ".join(map(repr, given)),
        )
        require("" not in self.run_dirs, "`runs` must name run folders.", repr(self.runs))
        require(
            len({os.path.realpath(path) for path in self.run_dirs}) == len(self.run_dirs),
            "`runs` must differ.",
            repr(self.runs),
        )
        require(
            not self.report or self.report.endswith(".html"),
            "`report` must end in .html.",
            repr(self.report),
        )

    @property
    def run_dirs(self) -> list[str]:
        """One or several run folders."""
        if not self.runs:
            return [self.run_dir or f"runs/pretrained_{self.pretrained}"]
        try:
            parts = next(csv.reader([self.runs], skipinitialspace=True)) or [""]
        except csv.Error:  # a line break outside quotes
            parts = [""]
        return parts if '"' in self.runs else [part.strip() for part in parts]


def main(arguments: list[str]) -> None:
    given = config_flags.parse_changes(arguments, Options)
    wanted = config_flags.build(Options, given)
    if wanted.pretrained:
        copy_pretrained(wanted.pretrained, wanted.run_dirs[0])
    for run_dir in wanted.run_dirs:
        folder = RunFolder(run_dir)
        folder.read_config()  # fails at once if there is no run
        if wanted.protocol or not any(folder.evaluation.glob("*.json")):
            folder.check_writable()  # with earlier results, this one may only have to be read
    report = Path(wanted.report or "report.html")
    if not wanted.report and not wanted.runs:
        report = RunFolder(wanted.run_dirs[0]).evaluation / report.name
    if wanted.report or report.parent.is_dir():  # otherwise the evaluation creates it
        report = runtime.output(report)
    changes = {n.removeprefix("eval."): v for n, v in given.items() if n.startswith("eval.")}
    with runtime.resumable():
        evaluate(wanted, changes, report)


def evaluate(wanted: Options, changes: dict, report: Path) -> None:
    # TensorFlow takes seconds to import, so all options are checked first.
    from tfvrnn.evaluation import evaluate_runs, grid_path, table, write_report

    backend.divide_cores()
    if report.parent.is_dir():
        runtime.output(grid_path(report))
    results = evaluate_runs(wanted.run_dirs, changes, wanted.protocol or None, wanted.grid_times)
    written = write_report(results, report, wanted.grid_times)
    print(table(results))
    for path in [*(result.path for result in results), *written]:
        print(path)
