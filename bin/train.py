"""Train a video predictor, or go on training one.

    python bin/train.py --flagfile=configs/quickstart.flags [--train.run_dir=RUN]

On a run folder that exists the run goes on where it stopped. Ctrl-C or SIGTERM save first; the exit
code is then 143.
"""

import sys
from pathlib import Path

# Run from a checkout, the checkout's own package is the one that is meant.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import commands, program, run_folder
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
    print(f"{ended} after step {outcome.step}: {run_dir}\nnext:")
    for command in next_commands(run_dir, outcome.stopped):
        print(f"  {command}")
    if outcome.stopped:
        sys.exit(program.STOPPED)


def next_commands(run_dir: str, stopped: bool) -> list[str]:
    again = commands.program("train.py", train__run_dir=run_dir) + "    # continues"
    quick = commands.from_here(commands.ROOT / "configs" / "eval" / "quick.flags")
    out = f"exports/{Path(run_dir).resolve().name}"
    return [
        *([again] if stopped else []),
        commands.module("tensorboard.main", logdir=run_dir),
        commands.program("sample.py", run_dir=run_dir),
        commands.program("evaluate.py", run_dir=run_dir, flagfile=quick),
        commands.program("export.py", run_dir=run_dir, out=out),
    ]


if __name__ == "__main__":
    program.run(main, __doc__)
