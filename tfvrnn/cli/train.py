"""Train a video predictor, or resume training one.

    tfvrnn train --flagfile=quickstart.flags [--train.run_dir=RUN]

An existing run folder continues where it stopped. On Ctrl-C or SIGTERM, the program saves the run
and exits with code 143.
"""

import sys
from pathlib import Path

from tfvrnn import commands, config_flags, runs
from tfvrnn.cli import runtime, sample
from tfvrnn.config import Config, UserError

Options = Config
QUICK_EVALUATION = "eval/quick.flags"
SUGGESTION = "try --flagfile=quickstart.flags; --help lists the options"


def main(arguments: list[str]) -> None:
    changes = config_flags.parse_changes(arguments, Options)
    if not changes:
        raise UserError(f"no option given: {SUGGESTION}")
    config, resumes = runs.resolve(changes)
    run_dir = config.train.run_dir
    if not resumes:  # resuming prints the step
        if all(name.startswith("eval.") for name in changes):
            raise UserError(f"no option of training given, only of eval: {SUGGESTION}")
        print(f"new run: {run_dir}")

    # TensorFlow takes seconds to import, so all options are checked first.
    from tfvrnn.data import count_videos
    from tfvrnn.training import TrainingDiverged, train

    try:
        outcome = train(config)
    except TrainingDiverged as error:
        sys.exit(f"error: {error}")
    ended = "stopped, saved" if outcome.stopped else "finished"
    print(f"{ended} after step {outcome.step}: {run_dir}\nnext:")
    try:
        there = count_videos(config.data, config.model, "test")
    except UserError:  # moved meanwhile, for example
        there = -1
    for command in next_commands(run_dir, outcome.stopped, there):
        print(f"  {command}")
    if outcome.stopped:
        sys.exit(runtime.STOPPED)


def next_commands(run_dir: str, stopped: bool, there: int = -1) -> list[str]:
    """List the commands for a run whose test split has `there` videos; -1: any number."""
    shipped = config_flags.SHIPPED / QUICK_EVALUATION
    quick = config_flags.parse_changes([f"--flagfile={shipped}"], Config)
    contexts = {"contexts": there} if 0 < there < sample.Options.contexts else {}
    videos = {"eval__videos": there} if 0 < there < quick["eval.videos"] else {}
    again = commands.program("train", train__run_dir=run_dir) + "    # continues"
    out = f"exports/{Path(run_dir).resolve().name}"
    return [
        *([again] if stopped else []),
        commands.module("tensorboard.main", logdir=run_dir),
        commands.program("sample", run_dir=run_dir, **contexts),
        commands.program("evaluate", run_dir=run_dir, flagfile=QUICK_EVALUATION, **videos),
        commands.program("export", run_dir=run_dir, out=out),
    ]
