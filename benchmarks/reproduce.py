"""Regenerate the results of docs/results.md, study by study.

    python benchmarks/reproduce.py --out=FOLDER [--studies=quickstart,shipped] [--docs=docs]

It runs each study of studies.py for one seed or several, into OUT/<study>/<seed>. After an
interruption, the same command continues. The figures and learning curves of each comparison are
recorded in DOCS/recorded/<study>_<seed>.json. A seed with a complete record is not run again.
`--studies=shipped` stands for the studies of all models in the package, which share a table.

From the records, it makes tables of interquartile means and standard deviations over the seeds. It
prints them, and writes them between their marks in DOCS/results.md. It also draws
DOCS/images/<study>_samples.png and, where models learn, <study>_curves.png. Without `--docs`,
everything goes to OUT/docs, and the documents stay as they are.
"""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common
import compare
import timed_training
from studies import STUDIES, learns

from tfvrnn import config_flags, files, metrics
from tfvrnn.cli import runtime
from tfvrnn.config import UserError, option, require, require_at_least

NAMES = {
    "copy_last": "copy-last",
    "prednet": "PredNet",
    "prednet_2": "PredNet, both phases",
    "svg_lp": "SVG-LP",
    "vrnn_flat": "VRNN, no hierarchy",
    "vrnn": "VRNN",
    "vrnn_literal": "VRNN, literal equations",
    "pretrained": "the bundled weights",
    "base": "base",
    "bce": "bce",
    "l1": "l1",
    "laplace": "laplace",
    "gaussian": "gaussian",
    "forget_0": "forget gates from 0",
    "forget_1": "forget gates from 1",
    "loud": "latents from variance 0.69",
    "quiet": "latents from variance 0.05",
    "forget_1_quiet": "both",
    "coarse": "latents at 1x1, 8x8",
    "own": "latent feedback",
    "adam": "Adam",
    "beta_ramp": "beta ramp over 500 steps",
    "free_nats": "1 free nat per level and frame",
    "advection_5": "advection, window of 5",
    "skips_advection_5": "decoder skips, advection",
    "skips_advection_5_coarse": "decoder skips, advection, latents at 1x1, 8x8",
    "scheduled": "dense decoder, scheduled sampling",
    "sequential": "dense decoder, sequential sampling",
    "scheduled_advection_5": "dense decoder, scheduled sampling, advection",
}
# The tables, by name, and their studies. A shared table's rows begin with the preset.
TABLES = {name: (name,) for name in STUDIES if not name.startswith("shipped_")}
TABLES["shipped"] = tuple(name for name in STUDIES if name.startswith("shipped_"))
CARD = "[{0}](../tfvrnn/pretrained/{0}/README.md)"
# The tables of docs/results.md.
SHOWN = (
    "shipped",
    "paper_pusht",
    "paper_smmnist64",
    "quickstart",
    "learning_pusht",
)
COLUMNS = {  # heading: (path in the figures, format)
    "FVD ↓": (("fvd", "mean"), ".1f"),
    "KVD ↓": (("kvd", "mean"), ".2f"),
    "SSIM ↑": (("ssim", "best", "mean"), ".3f"),
    "PSNR, dB ↑": (("psnr", "best", "mean"), ".2f"),
    "PSNR, last frame": (("psnr", "mean", "curve", -1), ".2f"),
    "LPIPS ↓": (("lpips", "best", "mean"), ".4f"),
    "spread": (("spread", "mean"), ".4f"),
    "reconstruction": (("reconstruction",), ".4g"),
    "bits per dimension ↓": (("bits_per_dimension",), ".3f"),
}


LINES = ("-", "--", ":", "-.")  # ten colours each


@dataclass(frozen=True)
class ReproduceConfig:
    """Options of benchmarks/reproduce.py."""

    out: str = option("runs/reproduce", "Folder of the runs.")
    studies: str = option(",".join(SHOWN), "Studies, with commas between.")
    data_dir: str = option("data", "Where prepared datasets lie.")
    steps: int = option(0, "Steps of every model that learns; 0: the study's own.")
    minutes: float = option(0.0, "Minutes of every model, in studies of equal time; 0: their own.")
    seeds: int = option(0, "Seeds 0, 1, ...; 0: as many as the study has.")
    videos: int = option(0, "Test videos; 0: the study's own number.")
    samples: int = option(0, "Futures of each context; 0: the study's own number.")
    docs: str = option("", "Folder of the documents, records and pictures; empty: OUT/docs.")

    def __post_init__(self):
        require_at_least(self, 0, "steps", "minutes", "seeds", "videos", "samples")
        unknown = set(self.studies.split(",")) - set(TABLES)
        allowed = ", ".join(TABLES)
        require(not unknown, f"`studies` may be {allowed}.", ", ".join(unknown))


def main(arguments):
    wanted = ReproduceConfig(**config_flags.parse_changes(arguments, ReproduceConfig))
    docs = Path(wanted.docs or f"{wanted.out}/docs")
    for folder in ("recorded", "images"):
        (docs / folder).mkdir(parents=True, exist_ok=True)
    page, names = docs / "results.md", wanted.studies.split(",")
    if page.exists():
        for name in names:
            place_of(name, page)  # fails before hours of work
    for name in names:
        text = table({study: records_of(wanted, docs, study) for study in TABLES[name]})
        if page.exists():
            place, old = place_of(name, page), page.read_text("utf-8")
            page.write_text(f"{old[: place.start]}{text}{old[place.stop :]}", encoding="utf-8")
        print(text)


def records_of(wanted, docs, study) -> list[dict]:
    """Read a study's record of each seed, and draw its learning curves."""
    seeds = range(wanted.seeds or STUDIES[study].seeds)
    records = [record_of(wanted, docs, study, seed) for seed in seeds]
    if any(map(learns, STUDIES[study].runs)):
        draw_curves(docs / "images" / f"{study}_curves.png", records)
    return records


def record_of(wanted, docs, study, seed) -> dict:
    """Read the record of a comparison, after running what it lacks and writing that one by one."""
    path = docs / "recorded" / f"{study}_{seed}.json"
    asked = {"study": study, "steps": wanted.steps or STUDIES[study].steps}
    asked |= {"seed": seed, "videos": wanted.videos or STUDIES[study].videos}
    asked |= {"samples": wanted.samples or STUDIES[study].samples}
    if minutes := STUDIES[study].minutes:
        asked |= {"minutes": wanted.minutes or minutes}
    record = {"asked": asked, "machine": common.machine(), "runs": {}}
    if path.exists():
        record = json.loads(path.read_text("utf-8"))
    if record["asked"] != asked:
        raise UserError(f"{path} is of {record['asked']}, not of {asked}; choose another --docs")
    runs = STUDIES[study].runs_of(seed)
    missing = [name for name in runs if name not in record["runs"]]
    folder = Path(wanted.out) / study / str(seed)
    for name in missing:
        run_comparison(folder, asked | {"only": name}, wanted.data_dir)
        record["runs"][name] = summary(folder / name, result_of(folder, name))
        files.write_whole(path, json.dumps(record, indent=1))
    if missing and seed == 0:
        known = [name for name in runs if (folder / name / "evaluation").is_dir()]
        results = {name: result_of(folder, name) for name in known}
        draw_samples(docs / "images" / f"{study}_samples.png", results)
    return record


def run_comparison(folder, options, data_dir):
    options = {"out": folder, "data_dir": data_dir} | options
    command = [sys.executable, compare.__file__, *(f"--{k}={v}" for k, v in options.items())]
    subprocess.run(command, check=True)


def result_of(folder, name):
    """Read the newest result of a run."""
    from tfvrnn.evaluation import read_result

    paths = (folder / name / "evaluation").glob("*.json")
    return read_result(max(paths, key=lambda path: path.stat().st_mtime), name)


def summary(run_dir, result) -> dict:
    """Select what a record keeps of a run: size, figures, learning curve, speed."""
    kept = {"parameters": result.protocol["model"]["parameters"], "figures": result.figures}
    if learns(run_dir.name):
        events = run_dir / "tensorboard" / "train"
        kept["steps"], kept["losses"] = common.records(events, "elbo/loss")
        kept["frames_per_second"] = statistics.median(common.records(events, compare.SPEED)[1])
    ledger = timed_training.Ledger(run_dir)
    if ledger.done:
        kept["minutes"], kept["last_step"] = ledger.seconds / 60, timed_training.step_of(run_dir)
    return kept


def table(studies: dict[str, list[dict]]) -> str:
    """Format Markdown with one row per run: `over_seeds` of each figure.

    A figure that no run has is left out. The last columns are the KL of each latent level, in nats
    per frame, and how many of its channels are active with each seed.

    Args:
        studies: {study: its record of each seed}.
    """
    everything = [record for records in studies.values() for record in records]
    figures = [run["figures"] for record in everything for run in record["runs"].values()]
    columns = {
        head: (keys, form)
        for head, (keys, form) in COLUMNS.items()
        if any(dig(found, keys) is not None for found in figures)
    }
    sizes = sorted({size for found in figures for size in found["levels"]}, key=int)
    timed = ("steps",) if any(STUDIES[study].minutes for study in studies) else ()
    heads = [
        "run",
        "parameters",
        *timed,
        *columns,
        *(f"KL at {size}x{size} (active)" for size in sizes),
    ]
    lines = [heads, ["---"] * len(heads)]
    for study, records in studies.items():
        for run, name in named(records):
            if len(studies) > 1:
                name = CARD.format(STUDIES[study].preset) + f": {name}"
            of_seeds = [record["runs"][run] for record in records if run in record["runs"]]
            steps = [over_seeds([of.get("last_step") for of in of_seeds], ",.0f") for _ in timed]
            parameters = f"{of_seeds[0]['parameters']:,}"
            lines.append([name, parameters, *steps, *row(of_seeds, columns, sizes)])
    return markdown(lines)


def row(runs: list[dict], columns: dict, sizes: list[str]) -> list[str]:
    """Format the figures of one run over its seeds."""
    figures = [run["figures"] for run in runs]
    cells = [over_seeds([dig(of, keys) for of in figures], form) for keys, form in columns.values()]
    levels = [level([of["levels"].get(size) for of in figures]) for size in sizes]
    return [*cells, *levels]


def level(found: list[dict | None]) -> str:
    """Format the KL of one latent level over the seeds, and its active channels with each seed."""
    if None in found:
        return "-"
    active = ", ".join(str(level["active"]) for level in found)
    nats = over_seeds([level["nats"] for level in found], ".2f")
    return f"{nats} ({active} of {found[0]['channels']})"


def named(records: list[dict]) -> list[tuple[str, str]]:
    """List (run, name in the table) of the runs of a study."""
    return [(run, name) for run, name in NAMES.items() if run in records[0]["runs"]]


def markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def dig(figures, keys):
    """Follow keys into the figures. A figure that an older record lacks is None."""
    for key in keys:
        if isinstance(figures, dict):
            figures = figures.get(key)
        elif figures is not None:
            figures = figures[key]
    return figures


def over_seeds(values, form) -> str:
    """Format the interquartile mean ± the standard deviation, or "-" if a seed has no value.

    Each value counts four times, as three seeds have no whole quarter. So the median of three has
    four times the weight of each of the others.
    """
    if any(value is None for value in values):
        return "-"
    text = format(metrics.interquartile_mean(4 * values), form)
    same = len({format(value, form) for value in values}) == 1
    return text if same else f"{text} ± {statistics.stdev(values):{form}}"


def draw_curves(path, records):
    """Draw the fall of the losses over the steps, and SSIM and PSNR over the predicted frames.

    Losses differ in unit and sign, so each is drawn on the way from its first value, 1, to its
    last, 0.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    learn, *measures = figure.subplots(1, 3)
    for number, (name, label) in enumerate(NAMES.items()):
        for seed, record in enumerate(records):
            run = record["runs"].get(name)
            if run is None:  # not in this study; the colours are the same in all
                continue
            style = {"color": f"C{number % 10}", "linestyle": LINES[number // 10], "alpha": 0.8}
            style["label"] = None if seed else label
            if "losses" in run:
                learn.plot(run["steps"], falling(run["losses"]), **style)
            for axes, key in zip(measures, ("ssim", "psnr")):
                curve = run["figures"][key]["best"]["curve"]
                axes.plot(range(1, len(curve) + 1), curve, **style)
    learn.set(xlabel="step", ylabel="loss, from first to last", ylim=(-0.1, 1))
    for axes, key in zip(measures, ("SSIM", "PSNR, dB")):
        axes.set(xlabel="predicted frame", ylabel=f"{key}, best future")
    handles, labels = measures[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=100)


def falling(losses: list[float]) -> list[float]:
    """Scale losses so that the first is 1 and the last 0."""
    first, last = losses[0], losses[-1]
    return [(loss - last) / (first - last or 1.0) for loss in losses]


def draw_samples(path, results):
    """Draw the truth and every run's first future of the first video, at ten times."""
    import numpy as np
    from matplotlib.figure import Figure

    first = next(iter(results.values()))
    shown, context = first.shown, first.protocol["data"]["context_frames"]
    last = shown.shape[2] - 1
    times = [0, context - 1, *np.linspace(context, last, 8).round().astype(int)]
    rows = {"truth": shown[0, 0]}
    rows |= {name: results[run].shown[0, 2] for run, name in NAMES.items() if run in results}
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


def place_of(study, page) -> slice:
    """Return the slice of the page between the study's marks."""
    begin, end = f"<!-- {study}: begin -->\n", f"<!-- {study}: end -->"
    text = page.read_text("utf-8")
    if begin not in text or end not in text:
        raise UserError(f"{page} has no place for the study: {begin.strip()} … {end}")
    return slice(text.index(begin) + len(begin), text.index(end))


if __name__ == "__main__":
    runtime.run(main, __doc__, ReproduceConfig)
