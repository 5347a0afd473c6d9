"""Train all models of a study alike on equal data, and evaluate them in one report.

    python benchmarks/compare.py --out=FOLDER [--study=quickstart] [--steps=1000] [--seed=0]

studies.py describes each study. Its models train for equal steps or for equal time. --only=NAME
trains and evaluates only one of them.

After an interruption, the same command continues. It prints the table and two losses per model:
that of the first step, and the mean of the last 20. FOLDER/report.html has the rest.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common
import timed_training
from studies import PRETRAINED, ROOT, SECOND_PHASES, STUDIES, learns

from tfvrnn import config_flags, presets
from tfvrnn.cli import runtime
from tfvrnn.config import option, require, require_at_least
from tfvrnn.runs import RunFolder


@dataclass(frozen=True)
class CompareConfig:
    """Options of benchmarks/compare.py."""

    out: str = option("runs/compare", "Folder of the runs and of the report.")
    study: str = option("quickstart", "Study.", tuple(STUDIES))
    data_dir: str = option("data", "Folder of prepared datasets.")
    steps: int = option(0, "Steps of every model that is trained; 0: the study's own number.")
    minutes: float = option(0.0, "Minutes of every model, in a study of equal time; 0: its own.")
    seed: int = option(0, "Seed of weights and noise. The videos are the same for all models.")
    videos: int = option(0, "Test videos; 0: the study's own number.")
    samples: int = option(0, "Futures per context; 0: the study's own number.")
    only: str = option("", "Train and evaluate only this run of the study.")

    def __post_init__(self):
        require_at_least(self, 0, "steps", "minutes", "videos", "samples")
        runs = STUDIES[self.study].runs
        rule = f"`only` must be one of {', '.join(runs)}."
        require(not self.only or self.only in runs, rule, self.only)


def main(arguments):
    wanted = CompareConfig(**config_flags.parse_changes(arguments, CompareConfig))
    folder, study = Path(wanted.out), STUDIES[wanted.study]
    folder.mkdir(parents=True, exist_ok=True)
    names = [wanted.only] if wanted.only else list(study.runs)
    for name in names:
        train(name, study, wanted)
    samples = wanted.samples or study.samples
    run(
        "evaluate.py",
        "--runs=" + ",".join(str(folder / name) for name in names),
        f"--report={folder / 'report.html'}",
        f"--eval.videos={wanted.videos or study.videos}",
        f"--eval.samples={samples}",
        f"--eval.horizon={study.horizon}",
        f"--eval.fvd_repeats={min(2, samples)}",
    )
    print(f"{'run':12}{'first loss':>12}{'last loss':>12}   frames/s")
    for name in filter(learns, names):
        events = folder / name / "tensorboard" / "train"
        losses, speeds = (common.records(events, tag)[1] for tag in ("elbo/loss", SPEED))
        print(f"{name:12}{losses[0]:12.5g}{losses[-1]:12.5g}{speeds[-1]:11.0f}")


def train(name, study, wanted):
    folder, steps = Path(wanted.out).absolute() / name, wanted.steps or study.steps
    if name == PRETRAINED:
        copy_preset(study.preset, folder, wanted.data_dir)
        return
    options = [
        *study.options,
        f"--data.data_dir={Path(wanted.data_dir).absolute()}",
        *study.runs[name],
        f"--train.seed={wanted.seed}",
        "--train.checkpoint_every=200",
    ]
    if study.minutes and learns(name):
        minutes = (wanted.minutes or study.minutes) * share(name)
        after = folder.with_name(SECOND_PHASES[name]) if name in SECOND_PHASES else None
        never = f"--train.validate_every={timed_training.ENDLESS}"
        timed_training.train(folder, minutes / 60, [*options, never], ROOT, after)
        return
    steps = steps if learns(name) else 1
    every = f"--train.validate_every={steps}"
    run("train.py", *options, f"--train.run_dir={folder}", f"--train.steps={steps}", every)


def share(name) -> float:
    """Return a run's part of the time: the two phases of a model share it."""
    if name in SECOND_PHASES:
        return 1 / 3
    return 2 / 3 if name in SECOND_PHASES.values() else 1.0


def copy_preset(name, folder, data_dir):
    """Copy a model of the package, which then reads the datasets in `data_dir`."""
    preset, run = presets.read(presets.FOLDER / name), RunFolder(folder)
    config = RunFolder(presets.FOLDER / name).read_config()
    folders = {"data.data_dir": str(Path(data_dir).absolute()), "train.run_dir": str(folder)}
    config = config_flags.replace(config, folders)
    rule = f"{folder} must be empty or a copy of {name}."
    require(not run.exists() or run.read_config() == config, rule, "another run")
    presets.write(folder, preset.config, preset.weights, step=preset.step)
    run.write_config(config)


SPEED = "training/frames_per_second"


def run(name, *arguments):
    command = [sys.executable, str(ROOT / "bin" / name), *arguments]
    print(" ".join(command), flush=True)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    runtime.run(main, __doc__, CompareConfig)
