"""Train a video predictor, or go on training one.

    python bin/train.py --flagfile=configs/quickstart.flags [--train.run_dir=RUN]

On a run folder that exists the run goes on where it stopped. Ctrl-C or SIGTERM save first; the exit
code is then 143.
"""

import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import program, run_folder
from tfvrnn.config import UserError


def main(arguments: list[str]) -> None:
    if not arguments:
        raise UserError("what to train? --flagfile=configs/quickstart.flags; --help lists options")
    config, resumes = run_folder.resolve_run(arguments)
    run_dir = config.train.run_dir
    print(f"{'resuming' if resumes else 'new run'}: {run_dir}")

    # TensorFlow takes seconds to import: only after every option was found in order.
    from tfvrnn.training import TrainingDiverged, train

    try:
        outcome = train(config)
    except TrainingDiverged as error:
        sys.exit(f"error: {error}")
    ended = "stopped, saved" if outcome.stopped else "finished"
    python = program.python()
    print(f"{ended} after step {outcome.step}: {run_dir}\nnext:")
    if outcome.stopped:
        print(f"  {python} bin/train.py --train.run_dir={run_dir}    # goes on")
    print(f"  {python} -m tensorboard.main --logdir {run_dir}")
    print(f"  {python} bin/sample.py --run_dir={run_dir}")
    print(f"  {python} bin/evaluate.py --run_dir={run_dir} --flagfile=configs/eval/quick.flags")
    print(f"  {python} bin/export.py --run_dir={run_dir} --out=exports/{Path(run_dir).name}")
    if outcome.stopped:
        sys.exit(program.STOPPED)


if __name__ == "__main__":
    program.run(main, __doc__)
