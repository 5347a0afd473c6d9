"""Train every family for equal steps on equal data, evaluate all under one protocol, one report.

    python benchmarks/compare.py --out=FOLDER [--dataset=smmnist] [--steps=1000] [--seed=0]
        [--optimizer=muon]

At 64x64, as SVG takes no other size. smmnist: one moving digit, 10 -> 10 frames, tested 10 -> 20;
sim_push, which must be prepared: 2 -> 10 frames, tested 2 -> 28. The models are small enough for
two CPU cores: VRNN with and without hierarchy at width 8, PredNet of a third of its channels,
SVG-LP at its own size. Each family has the optimizer and learning rate of its authors but the VRNN:
Adam or Muon at the quickstart's rate. Interrupted, the same command goes on. Prints the table and
the losses, that of the first step and the mean of the last 20; FOLDER/report.html has the rest.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import config_flags, program
from tfvrnn.config import option, require_at_least

ROOT = Path(__file__).resolve().parents[1]
DATA = {
    "smmnist": [
        "--model.channels=1",
        "--model.context_frames=10",
        "--data.digits=1",
        "--data.horizon=10",
    ],
    "sim_push": ["--model.channels=3", "--model.context_frames=2", "--data.horizon=10"],
}
TEST_HORIZON = {"smmnist": 20, "sim_push": 28}
SHARED = [
    "--model.image_size=64",
    "--data.batch_size=4",
    "--train.schedule=cosine",
    "--train.average_decay=0.99",
    "--train.log_every=20",
    "--train.validation_videos=32",
]
VRNN = [
    "--model.width=8",
    "--model.groups=2",
    "--model.reconstruction=bce",
    "--train.learning_rate=3e-3",
    "--train.warmup_steps=20",
    "--train.beta_warmup_steps=100",
]
OPTIMIZERS = {  # of the VRNNs
    "adam": [],
    "muon": ["--train.optimizer=muon", "--train.adam_beta_2=0.98", "--train.clip_norm=1000"],
}
RUNS = {
    "copy_last": ["--model.family=copy_last", "--model.reconstruction=bce"],  # the VRNNs' unit
    "prednet": [
        "--model.family=prednet",
        "--model.prednet_stacks=16,32,64",
        "--train.learning_rate=1e-3",
    ],
    "svg_lp": ["--model.family=svg", "--train.learning_rate=2e-3", "--train.beta=1e-4"],
    "vrnn_flat": [*VRNN, "--model.latent_resolutions=1"],
    "vrnn": VRNN,
}
LEARN = [name for name in RUNS if name != "copy_last"]


@dataclass(frozen=True)
class CompareConfig:
    """What is compared."""

    out: str = option("runs/compare", "Folder of the runs and of the report.")
    dataset: str = option("smmnist", "Dataset.", tuple(DATA))
    data_dir: str = option("data", "Where prepared datasets lie.")
    steps: int = option(1000, "Steps of every model that learns.")
    seed: int = option(0, "Seed of weights and noise; the videos are the same for all.")
    videos: int = option(64, "Test videos.")
    samples: int = option(10, "Futures of each context.")
    optimizer: str = option("adam", "Of the VRNNs.", tuple(OPTIMIZERS))

    def __post_init__(self):
        require_at_least(self, 1, "steps", "videos", "samples")


def main(arguments):
    wanted = CompareConfig(**config_flags.parse_changes(arguments, CompareConfig))
    folder = Path(wanted.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name in RUNS:
        train(name, wanted)
    run(
        "evaluate.py",
        "--runs=" + ",".join(str(folder / name) for name in RUNS),
        f"--report={folder / 'report.html'}",
        f"--eval.videos={wanted.videos}",
        f"--eval.samples={wanted.samples}",
        f"--eval.horizon={TEST_HORIZON[wanted.dataset]}",
        "--eval.fvd_repeats=2",
        "--eval.lpips=none",
    )
    print(f"{'run':12}{'first loss':>12}{'last loss':>12}   frames/s")
    for name in LEARN:
        losses, speeds = (records(folder / name, tag)[1] for tag in ("elbo/loss", SPEED))
        print(f"{name:12}{losses[0]:12.5g}{losses[-1]:12.5g}{speeds[-1]:11.0f}")


def train(name, wanted):
    steps = wanted.steps if name in LEARN else 1
    run(
        "train.py",
        f"--train.run_dir={Path(wanted.out) / name}",
        f"--train.steps={steps}",
        f"--train.seed={wanted.seed}",
        f"--train.validate_every={wanted.steps}",
        "--train.checkpoint_every=200",
        f"--data.dataset={wanted.dataset}",
        f"--data.data_dir={wanted.data_dir}",
        *SHARED,
        *DATA[wanted.dataset],
        *RUNS[name],
        *(OPTIMIZERS[wanted.optimizer] if name.startswith("vrnn") else []),
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
