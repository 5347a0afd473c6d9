"""Train a list of models one after another, each for its own hours, at the lowest priority.

    python benchmarks/campaign.py --out=runs/campaign [--data_dir=data] [--only=pusht,smmnist]
    python benchmarks/campaign.py --out=runs/campaign --status

It is meant for machines that are idle at times. The first start clones the repository as committed
into OUT/code, so that later changes of the code do not disturb the runs. Changed options of a run
need a new OUT. The campaign may be killed at any time: the same command continues. OUT/<run>/ is a
run folder, trained as timed_training.py says.

--status prints the progress of the runs, and draws OUT/<run>.png: one row per test video,
truth over two sampled futures.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common
import timed_training
from studies import COLOUR, DIGITS, FACTORS, ROOT, SCHEDULED

from tfvrnn import config_flags, files
from tfvrnn.cli import runtime
from tfvrnn.config import option, require, require_at_least

SHOWN_VIDEOS, SHOWN_FUTURES, SHOWN_TIMES = 3, 2, 14


@dataclass(frozen=True)
class Run:
    """A model to train.

    hours: hours of training.
    options: options of bin/train.py.
    folder: folder of the dataset, below the data folder.
    """

    hours: float
    options: list[str]
    folder: str = ""


LONG = ["--train.average_decay=0.999", "--train.validate_every=500", "--train.checkpoint_every=250"]
# Wide where pixels are fine. In float16 the weights take 6 MB, small enough for a package.
WIDE = ["--model.width=16", "--model.groups=4", "--model.max_channels=64"]
RATE = "--train.learning_rate=2e-3"
VRNN = [*COLOUR, *FACTORS["scheduled"], *WIDE, RATE]
RUNS = {
    "pusht": Run(10, [*VRNN, "--data.dataset=pusht"]),
    # Advection makes digits worse.
    "smmnist64": Run(10, [*DIGITS, *SCHEDULED, *WIDE, RATE]),
    "smmnist": Run(4, ["--flagfile=configs/quickstart.flags"]),
    "sim_push": Run(6, [*VRNN, "--data.dataset=sim_push_fixed"]),
    "pedestrians": Run(
        4,
        [*VRNN, "--data.dataset=video_folder", "--model.context_frames=4", "--data.horizon=12"],
        folder="pedestrians",
    ),
}


@dataclass(frozen=True)
class CampaignConfig:
    """Options of benchmarks/campaign.py."""

    out: str = option("runs/campaign", "Folder of the runs.")
    data_dir: str = option("data", "Folder of prepared datasets.")
    only: str = option("", "Runs, separated by commas. Default: all.")
    status: bool = option(False, "Print the progress of the runs, and draw samples. Train nothing.")
    scale: float = option(1.0, "Factor on all hours.")

    def __post_init__(self):
        require_at_least(self, 0, "scale")
        unknown = [name for name in self.names if name not in RUNS]
        require(not unknown, f"`only` may name {', '.join(RUNS)}.", ", ".join(unknown))

    @property
    def names(self) -> list[str]:
        return self.only.split(",") if self.only else list(RUNS)


def main(arguments):
    wanted = CampaignConfig(**config_flags.parse_changes(arguments, CampaignConfig))
    out = Path(wanted.out).absolute()
    if wanted.status:
        show(out, wanted)
        return
    out.mkdir(parents=True, exist_ok=True)
    code = pinned_code(out)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(runtime.STOPPED))
    with files.locked(out / "lock", f"training into {out}"):
        for name in wanted.names:
            train(name, out, code, Path(wanted.data_dir).absolute(), wanted.scale)


def pinned_code(out: Path) -> Path:
    """Clone the repository, as committed when the campaign begins."""
    code = out / "code"
    if not code.is_dir():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(code)], check=True)
    return code


def train(name: str, out: Path, code: Path, data_dir: Path, scale: float = 1.0) -> None:
    """Train a run of the list for its hours."""
    hours = RUNS[name].hours * scale
    timed_training.train(out / name, hours, options(name, data_dir), code)


def options(name: str, data_dir: Path) -> list[str]:
    """List the options of bin/train.py that a run has in all phases."""
    run = RUNS[name]
    return [*run.options, *LONG, f"--data.data_dir={data_dir / run.folder}"]


def show(out: Path, wanted) -> None:
    """Print one row per run, and draw the samples of the runs that have a checkpoint."""
    lines = [["run", "hours", "of", "steps", "validation, nats", "phase"]]
    for name in wanted.names:
        run_dir = out / name
        ledger = timed_training.Ledger(run_dir)
        step = timed_training.step_of(run_dir)
        phase = "cooling" if ledger.cooling_steps else "training" if step else "-"
        cells = [name, f"{ledger.hours:.1f}", f"{RUNS[name].hours * wanted.scale:g}", f"{step:,}"]
        lines.append([*cells, validation_of(run_dir), "done" if ledger.done else phase])
        if step:
            draw(run_dir, out / f"{name}.png")
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def validation_of(run_dir: Path) -> str:
    """Return the newest negative ELBO of a run's validations."""
    found = common.records(run_dir / "tensorboard" / "validation", "elbo/negative_elbo")[1]
    return f"{found[-1]:,.5g}" if found else "-"


def draw(run_dir: Path, path: Path) -> None:
    """Draw the truth and sampled futures of test videos, for twice the training horizon."""
    import dataclasses

    import numpy as np
    from PIL import Image

    from tfvrnn import media
    from tfvrnn.data import first_videos
    from tfvrnn.runs import load_run
    from tfvrnn.sampling import sample_videos

    config, model, _ = load_run(run_dir)
    horizon = min(2 * config.data.horizon, 28)
    data = dataclasses.replace(config.data, horizon=horizon)
    truth = first_videos(data, config.model, "test", SHOWN_VIDEOS)
    context = truth[:, : model.context_frames]
    seeds = np.arange(SHOWN_VIDEOS * SHOWN_FUTURES).reshape(SHOWN_VIDEOS, SHOWN_FUTURES)
    futures = media.to_uint8(sample_videos(model, context, horizon, seeds).numpy())
    times = np.linspace(0, truth.shape[1] - 1, SHOWN_TIMES).round().astype(int)
    rows = []
    for video in range(SHOWN_VIDEOS):
        rows.append(truth[video])
        rows += [np.concatenate([context[video], future]) for future in futures[video]]
    picture = media.strip([media.bordered(row, model.context_frames)[times] for row in rows])
    Image.fromarray(picture).save(path)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    runtime.run(main, __doc__, CampaignConfig)
