"""Regenerate the results of docs/results.md: every family, several datasets, several seeds.

    python benchmarks/reproduce.py --out=FOLDER [--datasets=smmnist,sim_push] [--seeds=3]
        [--steps=1000] [--docs=docs]

Runs compare.py for every dataset and seed into FOLDER/<dataset>/<seed>; interrupted, the same
command goes on. Writes FOLDER/<dataset>.md, the table of means over the seeds and their standard
deviations, and pictures beside it: learning curves, measures over time, sample strips. With
`--docs`, the tables take the place of the last ones in docs/results.md, and the pictures go to
docs/images.
"""

import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import compare

from tfvrnn import config_flags, program
from tfvrnn.config import option, require, require_at_least

NAMES = {
    "copy_last": "copy-last",
    "prednet": "PredNet",
    "svg_lp": "SVG-LP",
    "vrnn_flat": "VRNN, no hierarchy",
    "vrnn": "VRNN",
}
COLUMNS = {  # heading: (path in the figures, format)
    "FVD ↓": (("fvd", "mean"), ".1f"),
    "KVD ↓": (("kvd", "mean"), ".2f"),
    "SSIM ↑": (("ssim", "best", "mean"), ".3f"),
    "PSNR, dB ↑": (("psnr", "best", "mean"), ".2f"),
    "spread": (("spread", "mean"), ".4f"),
    "reconstruction": (("reconstruction",), ".4g"),
    "KL": (("kl",), ".2f"),
}


@dataclass(frozen=True)
class ReproduceConfig:
    """What is run again."""

    out: str = option("runs/reproduce", "Folder of the runs, tables and pictures.")
    datasets: str = option("smmnist,sim_push", "Datasets, with commas between.")
    data_dir: str = option("data", "Where prepared datasets lie.")
    seeds: int = option(3, "Seeds: 0, 1, ...")
    steps: int = option(1000, "Steps of every model that learns.")
    videos: int = option(64, "Test videos.")
    samples: int = option(10, "Futures of each context.")
    docs: str = option("", "Folder of the documents to bring up to date.")

    def __post_init__(self):
        require_at_least(self, 1, "seeds", "steps", "videos", "samples")
        unknown = set(self.datasets.split(",")) - set(compare.DATA)
        require(not unknown, f"`datasets` may be {', '.join(compare.DATA)}.", ", ".join(unknown))


def main(arguments):
    wanted = ReproduceConfig(**config_flags.parse_changes(arguments, ReproduceConfig))
    out = Path(wanted.out)
    for dataset in wanted.datasets.split(","):
        folders = [out / dataset / str(seed) for seed in range(wanted.seeds)]
        for seed, folder in enumerate(folders):
            run_comparison(wanted, dataset, seed, folder)
        text = table([results_of(folder) for folder in folders], folders)
        (out / f"{dataset}.md").write_text(text, encoding="utf-8")
        pictures = draw(dataset, folders, out)
        print(text)
        if wanted.docs:
            put_into(Path(wanted.docs), dataset, text, pictures)


def run_comparison(wanted, dataset, seed, folder):
    options = {
        "out": folder, "dataset": dataset, "data_dir": wanted.data_dir, "steps": wanted.steps,
        "seed": seed, "videos": wanted.videos, "samples": wanted.samples,
    }  # fmt: skip
    command = [sys.executable, compare.__file__, *(f"--{k}={v}" for k, v in options.items())]
    subprocess.run(command, check=True)


def results_of(folder) -> dict:
    """{run: Result} of one comparison."""
    from tfvrnn.evaluation import read_result

    def newest(name):
        paths = (folder / name / "evaluation").glob("*.json")
        return max(paths, key=lambda path: path.stat().st_mtime)

    return {name: read_result(newest(name), name) for name in compare.RUNS}


def table(results: list[dict], folders) -> str:
    """Markdown: a row a run; the mean over the seeds ± their standard deviation."""
    heads = ["run", "parameters", "loss, first → last", "frames/s", *COLUMNS]
    lines = [heads, ["---"] * len(heads)]
    for run, name in NAMES.items():
        parameters = results[0][run].protocol["model"]["parameters"]
        lines.append([name, f"{parameters:,}", *learning(run, folders)])
        for keys, form in COLUMNS.values():
            lines[-1].append(
                over_seeds([dig(result[run].figures, keys) for result in results], form)
            )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def learning(run, folders) -> list[str]:
    if run not in compare.LEARN:
        return ["-", "-"]
    losses = [compare.records(folder / run, "elbo/loss")[1] for folder in folders]
    speeds = [compare.records(folder / run, compare.SPEED)[1] for folder in folders]
    first, last = (statistics.mean(loss[k] for loss in losses) for k in (0, -1))
    speed = statistics.median(value for values in speeds for value in values)
    return [f"{first:,.4g} → {last:,.4g}", f"{speed:.0f}"]


def dig(figures, keys):
    for key in keys:
        figures = None if figures is None else figures[key]
    return figures


def over_seeds(values, form) -> str:
    if any(value is None for value in values):
        return "-"
    text = format(statistics.mean(values), form)
    return f"{text} ± {statistics.stdev(values):{form}}" if len(set(values)) > 1 else text


def draw(dataset, folders, out) -> list[Path]:
    """The pictures of a dataset; those of samples are of the first seed."""
    results = results_of(folders[0])
    paths = [out / f"{dataset}_{what}.png" for what in ("curves", "samples")]
    draw_curves(paths[0], folders, [results_of(folder) for folder in folders])
    draw_samples(paths[1], results)
    return paths


def draw_curves(path, folders, results):
    """Losses over the steps, each over its first; SSIM and PSNR over the predicted frames."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    learn, *measures = figure.subplots(1, 3)
    for number, (run, name) in enumerate(NAMES.items()):
        for k, folder in enumerate(folders):
            options = {"color": f"C{number}", "label": name if k == 0 else None, "alpha": 0.8}
            if run in compare.LEARN:
                steps, losses = compare.records(folder / run, "elbo/loss")
                learn.plot(steps, [loss / losses[0] for loss in losses], **options)
            for axes, key in zip(measures, ("ssim", "psnr")):
                curve = results[k][run].figures[key]["best"]["curve"]
                axes.plot(range(1, len(curve) + 1), curve, **options)
    learn.set(xlabel="step", ylabel="loss / loss of the first step", yscale="log")
    for axes, key in zip(measures, ("SSIM", "PSNR, dB")):
        axes.set(xlabel="predicted frame", ylabel=f"{key}, best future")
    measures[0].legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=100)


def draw_samples(path, results):
    """The truth, and of every run the first future of the first video, at ten times."""
    import numpy as np
    from matplotlib.figure import Figure

    shown = results["vrnn"].shown
    context = results["vrnn"].protocol["data"]["context_frames"]
    last = shown.shape[2] - 1
    times = [0, context - 1, *np.linspace(context, last, 8).round().astype(int)]
    rows = {"truth": shown[0, 0]} | {NAMES[run]: results[run].shown[0, 2] for run in NAMES}
    figure = Figure(figsize=(len(times) * 0.9 + 1.2, len(rows) * 0.95), layout="constrained")
    grid = figure.subplots(len(rows), len(times))
    for line, (name, video) in zip(grid, rows.items()):
        for axes, time in zip(line, times):
            axes.imshow(np.repeat(video[time], 3 // video.shape[-1], -1), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if name == "truth":
                axes.set_title(f"{time + 1}" + (" given" if time < context else ""), fontsize=8)
        line[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=100)


def put_into(docs, dataset, text, pictures):
    """Replace a dataset's table in results.md, and its pictures."""
    page = docs / "results.md"
    begin, end = f"<!-- {dataset}: begin -->", f"<!-- {dataset}: end -->"
    pattern = re.compile(f"(?<={begin}\n).*(?={end})", re.DOTALL)
    page.write_text(pattern.sub(lambda _: text, page.read_text("utf-8")), encoding="utf-8")
    for picture in pictures:
        shutil.copy(picture, docs / "images" / picture.name)


if __name__ == "__main__":
    program.run(main, __doc__, ReproduceConfig)
