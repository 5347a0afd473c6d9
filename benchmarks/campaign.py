"""Train a list of models one after another, each for its own hours, at the lowest priority.

    python benchmarks/campaign.py --out=runs/campaign [--data_dir=data] [--only=pusht,smmnist]
    python benchmarks/campaign.py --out=runs/campaign --status

It is meant for machines that are idle at times. The first start clones the repository as committed
into OUT/code, so that later changes of the code do not disturb the runs. Changed options of a run
need a new OUT. The campaign may be killed at any time: the same command continues. OUT/<run>/ is a
run folder. OUT/<run>.json counts its hours.

A run trains at a constant learning rate for 85 percent of its hours. Then it cools down: its rate
falls to 0 over the number of steps that should fill the rest of its hours. A snapshot of the
weights is kept in OUT/<run>_<hours>h if another run is compared with it at equal hours.

--status prints the progress of the runs, and draws OUT/<run>.png: one row per test video,
truth over two sampled futures.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common
from studies import AT_64, COLOUR, FACTORS, PREDNET, ROOT, SVG_LP

from tfvrnn import config_flags, files
from tfvrnn.cli import runtime
from tfvrnn.config import option, require, require_at_least

COOLING = 0.15  # last share of a run's hours
POLL_SECONDS = 5.0
ENDLESS = 10_000_000  # steps
KEEP = "import sys; from tfvrnn.runs import keep_weights as keep; keep(*sys.argv[1:])"
SHOWN_VIDEOS, SHOWN_FUTURES, SHOWN_TIMES = 3, 2, 14


@dataclass(frozen=True)
class Run:
    """A model to train.

    hours: hours of training.
    options: options of bin/train.py.
    after: run whose weights it starts from.
    snapshot: hours after which the weights are kept.
    folder: folder of the dataset, below the data folder.
    """

    hours: float
    options: list[str]
    after: str = ""
    snapshot: float = 0.0
    folder: str = ""


LONG = ["--train.average_decay=0.999", "--train.validate_every=500", "--train.checkpoint_every=250"]
# Wide where pixels are fine. In float16 the weights take 6 MB, small enough for a package.
WIDE = ["--model.width=16", "--model.groups=4", "--model.max_channels=64"]
FLAT = ["--model.latent_resolutions=1", "--model.latent_channels=10"]
VRNN = [*COLOUR, *FACTORS["scheduled"], *WIDE, "--train.learning_rate=2e-3"]
PUSHT = ["--data.dataset=pusht"]
DIGITS = [
    "--data.dataset=smmnist",
    "--model.channels=1",
    "--model.context_frames=5",
    "--data.digits=2",
    "--data.horizon=10",
]
# The options of the bundled smmnist64. Advection makes digits worse.
DIGITS_VRNN = [
    *VRNN,
    *DIGITS,
    "--model.advection=0",
    "--model.reconstruction=bce",
    "--model.initial_variance=0.6931471805599453",
    "--train.beta_warmup_steps=200",
]
PEDESTRIANS = [
    "--data.dataset=video_folder",
    "--model.context_frames=4",
    "--data.horizon=12",
]
COLOUR_AT_64 = [*AT_64, "--model.channels=3", "--model.context_frames=2", "--data.horizon=10"]
PHASE_2 = ["--model.prednet_extrapolate", "--train.learning_rate=1e-4"]
RUNS = {
    "pusht": Run(10, [*VRNN, *PUSHT], snapshot=2),
    "smmnist64": Run(10, DIGITS_VRNN, snapshot=2),
    "pusht_flat": Run(2, [*VRNN, *FLAT, *PUSHT]),
    "pusht_svg": Run(2, [*COLOUR_AT_64, *PUSHT, *SVG_LP]),
    "pusht_prednet_1": Run(1.3, [*COLOUR_AT_64, *PUSHT, *PREDNET]),
    "pusht_prednet": Run(0.7, [*COLOUR_AT_64, *PUSHT, *PREDNET, *PHASE_2], "pusht_prednet_1"),
    "smmnist64_flat": Run(2, [*DIGITS_VRNN, *FLAT]),
    "smmnist64_svg": Run(2, [*AT_64, *DIGITS, *SVG_LP]),
    "smmnist64_prednet_1": Run(1.3, [*AT_64, *DIGITS, *PREDNET]),
    "smmnist64_prednet": Run(0.7, [*AT_64, *DIGITS, *PREDNET, *PHASE_2], "smmnist64_prednet_1"),
    "smmnist": Run(4, ["--flagfile=configs/quickstart.flags"]),
    "sim_push": Run(6, [*VRNN, "--data.dataset=sim_push_fixed"]),
    "pedestrians": Run(4, [*VRNN, *PEDESTRIANS], folder="pedestrians"),
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


class Ledger:
    """The hours and the phase of a run, in OUT/<run>.json."""

    def __init__(self, path: Path):
        self.path = path
        read = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        self.seconds: float = read.get("seconds", 0.0)
        self.cooling_steps: int | None = read.get("cooling_steps")  # of the run, once it cools
        self.done: bool = read.get("done", False)

    def save(self) -> None:
        kept = {k: v for k, v in vars(self).items() if k != "path"}
        files.write_whole(self.path, json.dumps(kept) + "\n")

    @property
    def hours(self) -> float:
        return self.seconds / 3600


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
    """Train a run until its hours are used up and it has cooled down."""
    run, ledger = RUNS[name], Ledger(out / f"{name}.json")
    hot = run.hours * scale * 3600 * (1 - COOLING)
    while not ledger.done:
        if ledger.cooling_steps is None and ledger.seconds >= hot:
            step = step_of(out / name)
            ledger.cooling_steps = max(step + 1, round(step / (1 - COOLING)))
            ledger.save()
        until = hot if ledger.cooling_steps is None else float("inf")
        _train_until(until, name, out, code, data_dir, ledger, run.snapshot * scale * 3600)


def _train_until(until, name, out, code, data_dir, ledger, snapshot) -> None:
    kept = out / f"{name}_{RUNS[name].snapshot:g}h"
    command = [*python(code, "train.py"), *options(name, out, data_dir, ledger.cooling_steps)]
    with (out / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=code, stdout=log, stderr=log, start_new_session=True
        )
    yield_to_others(process.pid)
    began, before = now(), ledger.seconds
    try:
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            ledger.seconds = before + now() - began
            ledger.save()
            if snapshot and ledger.seconds >= snapshot and not kept.is_dir():
                keep = (
                    "import sys; from tfvrnn.runs import keep_weights; keep_weights(*sys.argv[1:])"
                )
                command = [*nice(), sys.executable, "-c", keep, str(out / name), str(kept)]
                subprocess.run(command, cwd=code, check=False)
            if ledger.seconds >= until:
                break
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode == 0:
        ledger.done = True
    elif process.returncode not in (runtime.STOPPED, -signal.SIGTERM):
        sys.exit(f"{name} failed: see {out / f'{name}.log'}")
    ledger.save()


def options(name: str, out: Path, data_dir: Path, cooling_steps: int | None) -> list[str]:
    """List the options of bin/train.py for a run, in its first or its last phase."""
    run = RUNS[name]
    found = [*run.options, *LONG, f"--data.data_dir={data_dir / run.folder}"]
    found.append(f"--train.run_dir={out / name}")
    if run.after and not (out / name).is_dir():
        found.append(f"--train.init_from={out / run.after}")
    if cooling_steps is None:
        return [*found, "--train.schedule=constant", f"--train.steps={ENDLESS}"]
    return [*found, "--train.schedule=cosine", f"--train.steps={cooling_steps}"]


def now() -> float:
    """Return the seconds of a clock that only goes forward."""
    return time.monotonic()


def nice() -> list[str]:
    return ["nice", "-n", "19"]


def yield_to_others(process: int) -> None:
    """Give a session of processes the lowest weight, if Linux divides the cores by sessions.

    In that case a nice value counts only among the processes of one session.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text("19")


def python(code: Path, name: str) -> list[str]:
    return [*nice(), sys.executable, str(code / "bin" / name)]


def step_of(run_dir: Path) -> int:
    """Return the newest checkpoint's step; 0 if there is none."""
    names = [path.stem for path in (run_dir / "checkpoints").glob("ckpt-*.index")]
    return max((int(name.removeprefix("ckpt-")) for name in names), default=0)


def show(out: Path, wanted) -> None:
    """Print one row per run, and draw the samples of the runs that have a checkpoint."""
    lines = [["run", "hours", "of", "steps", "validation, nats", "phase"]]
    for name in wanted.names:
        ledger, run_dir = Ledger(out / f"{name}.json"), out / name
        step = step_of(run_dir)
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
