"""Train every model of a study for equal steps on equal data, evaluate all alike, one report.

    python benchmarks/compare.py --out=FOLDER [--study=smmnist] [--steps=1000] [--seed=0]

Studies, of models that two CPU cores can train:
smmnist, sim_push: every family at 64x64, as SVG takes no other size; VRNN with and without
    hierarchy at width 8, PredNet of a third of its channels, SVG-LP at its own size. Each has the
    optimizer and learning rate of its authors but the VRNN, whose rate is the quickstart's.
    smmnist: one moving digit, 10 -> 10 frames, tested 10 -> 20; sim_push, which must be prepared:
    2 -> 10 frames, tested 2 -> 28.
smmnist_long, sim_push_long: VRNN with and without hierarchy for more steps, by the quickstart's
    Muon; smmnist_long with the quickstart's levels, 1x1 and 8x8.
quickstart: the quickstart at 32x32, the others at its size, the weights in the package.

Interrupted, the same command goes on. Prints the table and the losses, that of the first step and
the mean of the last 20; FOLDER/report.html has the rest.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import config_flags, program
from tfvrnn.config import option, require_at_least
from tfvrnn.run_folder import copy_pretrained

ROOT = Path(__file__).resolve().parents[1]
AT_64 = [
    "--model.image_size=64",
    "--data.batch_size=4",
    "--train.schedule=cosine",
    "--train.average_decay=0.99",
    "--train.log_every=20",
    "--train.validation_videos=32",
]
SMMNIST = [
    *AT_64,
    "--data.dataset=smmnist",
    "--model.channels=1",
    "--model.context_frames=10",
    "--data.digits=1",
    "--data.horizon=10",
]
SIM_PUSH = [
    *AT_64,
    "--data.dataset=sim_push",
    "--model.channels=3",
    "--model.context_frames=2",
    "--data.horizon=10",
]
VRNN = [
    "--model.width=8",
    "--model.groups=2",
    "--model.reconstruction=bce",
    "--train.learning_rate=3e-3",
    "--train.warmup_steps=20",
    "--train.beta_warmup_steps=100",
]
MUON = ["--train.optimizer=muon", "--train.adam_beta_2=0.98", "--train.clip_norm=1000"]
COPY_LAST = ["--model.family=copy_last", "--model.reconstruction=bce"]  # the VRNNs' unit
PREDNET = [
    "--model.family=prednet",
    "--model.prednet_stacks=16,32,64",
    "--train.optimizer=adam",
    "--train.learning_rate=1e-3",
]
SVG_LP = ["--model.family=svg", "--train.learning_rate=2e-3", "--train.beta=1e-4"]
FLAT = "--model.latent_resolutions=1"
FAMILIES = {
    "copy_last": COPY_LAST,
    "prednet": PREDNET,
    "svg_lp": SVG_LP,
    "vrnn_flat": [*VRNN, FLAT],
    "vrnn": VRNN,
}
PRETRAINED = "pretrained"  # not trained, but copied from the package


@dataclass(frozen=True)
class Study:
    """What is compared.

    options: of all runs; runs: {name: further options}; steps: of every model that learns;
    horizon: in the test; seeds: how many of them results are of.
    """

    options: list[str]
    runs: dict[str, list[str]]
    steps: int
    horizon: int
    seeds: int


STUDIES = {
    "smmnist": Study(SMMNIST, FAMILIES, steps=600, horizon=20, seeds=3),
    "sim_push": Study(SIM_PUSH, FAMILIES, steps=600, horizon=28, seeds=3),
    "smmnist_long": Study(
        SMMNIST,
        {
            "copy_last": COPY_LAST,
            "vrnn_flat": [*VRNN, *MUON, FLAT],
            "vrnn": [*VRNN, *MUON, "--model.latent_resolutions=1,8"],
        },
        steps=1500,
        horizon=20,
        seeds=1,
    ),
    "sim_push_long": Study(
        SIM_PUSH,
        {
            "copy_last": COPY_LAST,
            "vrnn_flat": [*VRNN, *MUON, FLAT],
            "vrnn": [*VRNN, *MUON],
            "vrnn_coarse": [*VRNN, *MUON, "--model.latent_resolutions=1,8"],
        },
        steps=1500,
        horizon=28,
        seeds=1,
    ),
    "quickstart": Study(
        [f"--flagfile={ROOT / 'configs' / 'quickstart.flags'}"],
        {
            "copy_last": COPY_LAST,
            "prednet": PREDNET,
            "vrnn_flat": [FLAT],
            "vrnn": [],
            PRETRAINED: [],
        },
        steps=3000,
        horizon=12,
        seeds=1,
    ),
}


@dataclass(frozen=True)
class CompareConfig:
    """Which study, and how much of it."""

    out: str = option("runs/compare", "Folder of the runs and of the report.")
    study: str = option("smmnist", "Study.", tuple(STUDIES))
    data_dir: str = option("data", "Where prepared datasets lie.")
    steps: int = option(0, "Steps of every model that learns; 0: the study's own.")
    seed: int = option(0, "Seed of weights and noise; the videos are the same for all.")
    videos: int = option(64, "Test videos.")
    samples: int = option(10, "Futures of each context.")

    def __post_init__(self):
        require_at_least(self, 0, "steps")
        require_at_least(self, 1, "videos", "samples")


def main(arguments):
    wanted = CompareConfig(**config_flags.parse_changes(arguments, CompareConfig))
    folder, study = Path(wanted.out), STUDIES[wanted.study]
    folder.mkdir(parents=True, exist_ok=True)
    for name in study.runs:
        train(name, study, wanted)
    run(
        "evaluate.py",
        "--runs=" + ",".join(str(folder / name) for name in study.runs),
        f"--report={folder / 'report.html'}",
        f"--eval.videos={wanted.videos}",
        f"--eval.samples={wanted.samples}",
        f"--eval.horizon={study.horizon}",
        "--eval.fvd_repeats=2",
        "--eval.lpips=none",
    )
    print(f"{'run':12}{'first loss':>12}{'last loss':>12}   frames/s")
    for name in filter(learns, study.runs):
        losses, speeds = (records(folder / name, tag)[1] for tag in ("elbo/loss", SPEED))
        print(f"{name:12}{losses[0]:12.5g}{losses[-1]:12.5g}{speeds[-1]:11.0f}")


def learns(name: str) -> bool:
    return name not in ("copy_last", PRETRAINED)


def train(name, study, wanted):
    folder, steps = Path(wanted.out) / name, wanted.steps or study.steps
    if name == PRETRAINED:
        copy_pretrained("smmnist", folder)
        return
    run(
        "train.py",
        *study.options,
        f"--data.data_dir={wanted.data_dir}",
        *study.runs[name],
        f"--train.run_dir={folder}",
        f"--train.steps={steps if learns(name) else 1}",
        f"--train.seed={wanted.seed}",
        f"--train.validate_every={steps}",
        "--train.checkpoint_every=200",
    )


SPEED = "training/frames_per_second"


def records(run_dir: Path, tag: str) -> tuple[list[int], list[float]]:
    """The steps and values that a run's training wrote under a tag."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = run_dir / "tensorboard" / "train"
    events = EventAccumulator(str(path), {"tensors": 0})  # all of them, not a sample
    events.Reload()
    found = events.Tensors(tag)
    return [e.step for e in found], [float(tf.make_ndarray(e.tensor_proto)) for e in found]


def run(name, *arguments):
    command = [sys.executable, str(ROOT / "bin" / name), *arguments]
    print(" ".join(command), flush=True)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    program.run(main, __doc__, CompareConfig)
