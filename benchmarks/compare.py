"""Train every family for equal steps on equal data, evaluate all under one protocol, one report.

    python benchmarks/compare.py --out=FOLDER [--steps=1000]

Moving MNIST at 64x64 with one digit, 3 -> 9 frames; SVG takes no other size. The models are small
enough for two CPU cores: VRNN with and without hierarchy at width 8, PredNet of a third of its
channels, SVG-LP at its own size. Each family has the learning rate of its authors but the VRNN,
which has that of the quickstart. Interrupted, the same command goes on. Prints the table and the
losses, that of the first step and the mean of the last 20; FOLDER/report.html has the rest.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfvrnn import config_flags, program
from tfvrnn.config import option

ROOT = Path(__file__).resolve().parents[1]
SHARED = [
    "--model.image_size=64",
    "--model.channels=1",
    "--model.context_frames=3",
    "--data.dataset=smmnist",
    "--data.digits=1",
    "--data.horizon=9",
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
RUNS = {
    "copy_last": ["--model.family=copy_last"],
    "prednet": [
        "--model.family=prednet",
        "--model.prednet_stacks=16,32,64",
        "--train.learning_rate=1e-3",
    ],
    "svg_lp": ["--model.family=svg", "--train.learning_rate=2e-3", "--train.beta=1e-4"],
    "vrnn_flat": [*VRNN, "--model.latent_resolutions=1"],
    "vrnn": VRNN,
}


@dataclass(frozen=True)
class CompareConfig:
    """What is compared."""

    out: str = option("runs/compare", "Folder of the runs and of the report.")
    steps: int = option(1000, "Steps of every model that learns.")
    videos: int = option(64, "Test videos.")
    samples: int = option(10, "Futures of each context.")
    horizon: int = option(12, "Frames predicted in the test.")


def main(arguments):
    wanted = CompareConfig(**config_flags.parse_changes(arguments, CompareConfig))
    folder = Path(wanted.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, options in RUNS.items():
        steps = 1 if name == "copy_last" else wanted.steps
        often = [f"--train.validate_every={wanted.steps}", "--train.checkpoint_every=200"]
        run(
            "train.py",
            f"--train.run_dir={folder / name}",
            f"--train.steps={steps}",
            *SHARED,
            *options,
            *often,
        )
    run(
        "evaluate.py",
        "--runs=" + ",".join(str(folder / name) for name in RUNS),
        f"--report={folder / 'report.html'}",
        f"--eval.videos={wanted.videos}",
        f"--eval.samples={wanted.samples}",
        f"--eval.horizon={wanted.horizon}",
        "--eval.fvd_repeats=2",
        "--eval.lpips=none",
    )
    print_losses(folder)


def print_losses(folder):
    """Of each run that learns: the loss of its first step, and of its last record."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    print(f"{'run':12}{'first loss':>12}{'last loss':>12}   frames/s")
    for name in [name for name in RUNS if name != "copy_last"]:
        path = folder / name / "tensorboard" / "train"
        events = EventAccumulator(str(path), {"tensors": 0})  # all of them, not a sample
        events.Reload()

        def record(tag, index, events=events):
            return float(tf.make_ndarray(events.Tensors(tag)[index].tensor_proto))

        first, last = record("elbo/loss", 0), record("elbo/loss", -1)
        print(f"{name:12}{first:12.5g}{last:12.5g}{record('training/frames_per_second', -1):11.0f}")


def run(name, *arguments):
    command = [sys.executable, str(ROOT / "bin" / name), *arguments]
    print(" ".join(command), flush=True)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    program.run(main, __doc__, CompareConfig)
