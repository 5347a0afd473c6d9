"""Measure trained runs: FVD, KVD, SSIM, PSNR, LPIPS, spread; a table, JSON and a report.

    python bin/evaluate.py --run_dir=RUN [--eval.samples=100 ...]
    python bin/evaluate.py --pretrained=smmnist --flagfile=configs/eval/quick.flags
    python bin/evaluate.py --runs=A,B,C --flagfile=configs/eval/smmnist.flags --report=all.html
    python bin/evaluate.py --run_dir=RUN --protocol=RUN/evaluation/NAME.json

An interrupted evaluation goes on where it was; one that is done is read, not repeated.
"""

import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import config_flags, program
from tfvrnn.program_config import EvaluateConfig, grid_path
from tfvrnn.run_folder import RunFolder, copy_pretrained


def main(arguments: list[str]) -> None:
    given = config_flags.parse_changes(arguments, EvaluateConfig)
    wanted = config_flags.build(EvaluateConfig, given)
    if wanted.pretrained:
        copy_pretrained(wanted.pretrained, wanted.run_dir)
    for run_dir in wanted.run_dirs:
        folder = RunFolder(run_dir)
        folder.read_config()  # complains at once where there is no run
        if wanted.protocol or not any(folder.evaluation.glob("*.json")):
            folder.check_writable()  # else the result may be there, and nothing to write
    report = Path(wanted.report or "report.html")
    if wanted.run_dir and not wanted.report:
        report = RunFolder(wanted.run_dir).evaluation / report.name
    if wanted.report or report.parent.is_dir():  # else the evaluation makes it
        report, _ = program.output(report), program.output(grid_path(report))
    changes = {n.removeprefix("eval."): v for n, v in given.items() if n.startswith("eval.")}
    try:
        evaluate(wanted, changes, report)
    except KeyboardInterrupt:
        sys.exit("stopped: the same command goes on")


def evaluate(wanted: EvaluateConfig, changes: dict, report: Path) -> None:
    # TensorFlow takes seconds to import: only after every option was found in order.
    import tensorflow as tf

    from tfvrnn.evaluation import evaluate_runs, table, write_report

    tf.get_logger().setLevel("ERROR")  # TF-GAN's deprecations are not the user's
    program.divide_cores()
    results = evaluate_runs(wanted.run_dirs, changes, wanted.protocol or None, wanted.grid_times)
    written = write_report(results, report, wanted.grid_times)
    print(table(results))
    for path in [*(result.path for result in results), *written]:
        print(path)


if __name__ == "__main__":
    program.run(main, __doc__, EvaluateConfig)
