"""Results as a table of text, and as one HTML file that opens offline."""

import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import tfvrnn
from tfvrnn import files, media
from tfvrnn.config import UserError
from tfvrnn.evaluation.evaluate import Result
from tfvrnn.evaluation.grid import caption, choose_times, draw_grid, magnification
from tfvrnn.evaluation.protocol import check_alike
from tfvrnn.evaluation.seeds import over_seeds
from tfvrnn.evaluation.stochastic_report import stochastic_section
from tfvrnn.reporting import page
from tfvrnn.reporting.charts import curves_chart

FRAMES_IN_STRIP = 10
FIRST_SAMPLE = 2  # in `Result.shown`
# Column, figure, format. Arrows say which way is better.
COLUMNS = (
    ("FVD ↓", "fvd", ".1f"),
    ("FVD∞ ↓", "fvd_infinity", ".1f"),
    ("KVD ↓", "kvd", ".3f"),
    ("SSIM ↑", "ssim", ".3f"),
    ("PSNR, dB ↑", "psnr", ".2f"),
    ("LPIPS ↓", "lpips", ".4f"),
    ("spread", "spread", ".4f"),
    ("reconstruction", "reconstruction", ".4g"),
    ("KL", "kl", ".2f"),
    ("bits/dim ↓", "bits_per_dimension", ".3f"),
)
ONLY_OF_SOME = "bits_per_dimension"  # a column only if a model has it
CURVES = (
    ("ssim", "SSIM"),
    ("psnr", "PSNR, dB"),
    ("lpips", "LPIPS"),
    ("spread", "spread between samples"),
)


def table(results: Sequence[Result]) -> str:
    """Format results for a terminal: first what the figures mean, then one line per run."""
    columns = _columns(results)
    rows = [["run", *(column for column, _, _ in columns)]]
    rows += [[name, *_figures(figures, columns)] for name, figures in _named_figures(results)]
    notes = [f"{r.name}: {note}" for r in results for note in r.notes]
    lines = [_meaning(results[0].protocol), *notes, *page.text_table(rows)]
    return "\n".join(lines)


def write_report(
    results: Sequence[Result], path: str | Path, grid_times: Sequence[int] | None = None
) -> list[Path]:
    """Write one self-contained HTML file: table, curves, grid, strips, animations, protocols.

    Also writes the grid of all systems beside it, as `<name>_grid.png`, and figures over seeds of
    training as `<name>_seeds.json`.

    Args:
        results: in the order of the grid's rows.
        path: of the HTML file.
        grid_times: columns of the grid, as for `choose_times`.

    Returns:
        The written files.

    Raises:
        UserError: results of different protocols, with the entries in which they differ, or of
            different videos; times that the videos do not have.
    """
    check_alike([(result.name, result.protocol) for result in results])
    _check_same_videos(results)
    path, grid = Path(path), _grid(results, grid_times)
    parts = [
        f"<h1>{_title(results[0].protocol)}</h1>",
        _summary(results),
        _table(results),
        _curves(results),
        _levels(results),
        stochastic_section([(result.name, result.figures) for result in results]),
        _grid_section(results, grid),
        *(_examples(result) for result in results),
        *(page.details(f"Protocol of {r.name}", r.protocol) for r in results),
    ]
    text = page.page(_title(results[0].protocol), parts)
    # Names of runs need not be UTF-8.
    path.write_text(text, encoding="utf-8", errors="replace")
    written = [path]
    if grid is not None:
        grid_path(path).write_bytes(grid)
        written.append(grid_path(path))
    if groups := over_seeds(results, [key for _, key, _ in COLUMNS]):
        written.append(path.with_name(f"{path.stem}_seeds.json"))
        files.write_whole(written[-1], (json.dumps(groups, indent=2) + "\n").encode())
    return written


def grid_path(report: Path) -> Path:
    """Return the path of a report's grid, `<name>_grid.png` beside it."""
    return report.with_name(f"{report.stem}_grid.png")


def _check_same_videos(results):
    """Raise UserError if the kept examples show that a dataset has changed."""
    first, *others = results
    for other in others:
        if not np.array_equal(first.shown[:, 0], other.shown[:, 0]):
            raise UserError(
                f"{first.name} and {other.name} were measured on different videos: the dataset "
                "has changed. Give another --eval.name to measure them again"
            )


def _title(protocol) -> str:
    data, settings = protocol["data"], protocol["settings"]
    return html.escape(
        f"{data['dataset']}, {data['context_frames']} → {settings['horizon']} frames"
    )


def _summary(results):
    notes = "".join(
        f"<p class='small'>{html.escape(r.name)}: {html.escape(note)}</p>"
        for r in results
        for note in r.notes
    )
    return f"<p>{html.escape(_meaning(results[0].protocol))}</p>{notes}"


def _meaning(protocol) -> str:
    """Say what the figures are computed from. An FVD needs its number of videos beside it."""
    data, settings = protocol["data"], protocol["settings"]
    height, width, channels = data["image_shape"]
    fvd = (
        f"FVD, KVD: clips of {settings['fvd_frames']} frames, "
        f"{'with' if settings['fvd_context'] else 'without'} the context, one future of each "
        f"context, mean ± deviation over up to {settings['fvd_repeats']} futures; "
        f"network {settings['fvd_network']}. "
    )
    return (
        f"{settings['videos']} videos of the {settings['split']} split, "
        f"{height}x{width}x{channels}; {settings['samples']} futures of each. "
        f"SSIM ({settings['ssim']}), PSNR, LPIPS: best of the futures. "
        f"{fvd if settings['fvd_frames'] else ''}"
        "In brackets: 95 % intervals, by the bootstrap over videos. "
        "Reconstruction, KL: of each model's own loss, per frame, in nats for VRNNs and copy_last. "
        "tfvrnn " + tfvrnn.__version__ + "."
    )


def _table(results):
    columns = _columns(results)
    names = ["run", "family", "parameters", "step", *(column for column, _, _ in columns)]
    models = {result.name: result.protocol["model"] for result in results}
    rows = []
    for name, figures in _named_figures(results):
        size = ["", "", ""]
        if model := models.get(name):
            size = [model["family"], f"{model['parameters']:,}", f"{model['step']:,}"]
        rows.append([name, *size, *_figures(figures, columns)])
    return page.html_table(names, rows)


def _named_figures(results):
    """Return (name, figures) of every run, then of every configuration of several seeds."""
    groups = over_seeds(results, [key for _, key, _ in COLUMNS])
    over = [
        (f"{len(group['runs'])} seeds of {group['runs'][0]}, interquartile mean", group["figures"])
        for group in groups
    ]
    return [*((result.name, result.figures) for result in results), *over]


def _columns(results):
    densities = any(result.figures.get(ONLY_OF_SOME) is not None for result in results)
    return [column for column in COLUMNS if densities or column[1] != ONLY_OF_SOME]


def _figures(figures, columns) -> list[str]:
    return [_figure(figures, key, form) for _, key, form in columns]


def _figure(figures, key, form) -> str:
    """Write a figure as text with its interval, of the best sample if there are several."""
    value = figures.get(key)
    if value is None:
        return "not measured"
    if not isinstance(value, dict):
        interval = figures.get("intervals", {}).get(key)  # older versions have none
        value = {"mean": value} | ({"interval": interval} if interval else {})
    return page.with_interval(value.get("best", value), form)


def _curves(results):
    charts = [
        curves_chart(title, [(r.name, r.figures[name]) for r in results])
        for name, title in CURVES
        if any(r.figures[name] for r in results)
    ]
    return (
        "<h2>By time step</h2><p class='small'>Lines: best, mean (dashed) and worst (dotted) of "
        "the futures. Best and worst are chosen by their mean over time, so their lines may cross."
        f"</p><div class='charts'>{''.join(charts)}</div>"
    )


def _levels(results):
    rows = [
        [
            result.name,
            f"{level}x{level}",
            f"{of['nats']:.3f}",
            f"{of['active']} of {of['channels']}",
        ]
        for result in results
        for level, of in result.figures["levels"].items()
    ]
    if not rows:
        return ""
    names = ["run", "level", "KL, nats per frame", "active channels"]
    return f"<h2>Latent levels</h2>{page.html_table(names, rows)}"


def _grid(results, wanted) -> bytes | None:
    """Draw the grid of all systems as a PNG, or return None if no examples were kept."""
    truth, protocol = results[0].shown[:, 0], results[0].protocol
    if not len(truth):
        return None
    context, horizon = protocol["data"]["context_frames"], protocol["settings"]["horizon"]
    systems = [(result.name, result.shown[:, FIRST_SAMPLE]) for result in results]
    times = choose_times(context, horizon, wanted)
    return page.png(draw_grid(truth, systems, context, times))


def _grid_section(results, grid):
    if grid is None:
        return ""
    text = html.escape(caption(results[0].protocol["settings"]))
    picture = page.embedded(grid, "png", "truth and futures of every system")
    return (
        "<h2>Futures of the same contexts</h2>"
        f"<figure class='grid'>{picture}<figcaption>{text}</figcaption></figure>"
    )


def _examples(result):
    if not len(result.shown):
        return ""
    context = result.protocol["data"]["context_frames"]
    labels = ["truth", "best", *(f"sample {k + 1}" for k in range(result.shown.shape[1] - 2))]
    pieces = [f"<h2>{html.escape(result.name)}: futures</h2>"]
    for number, videos in enumerate(result.shown):
        scaled = media.enlarge(videos, magnification(videos.shape[-2]))
        scaled = [media.bordered(video, context) for video in scaled]
        frames = videos.shape[1]
        times = np.unique(np.linspace(0, frames - 1, FRAMES_IN_STRIP).round().astype(int))
        caption = f"Video {number}. Green: frames 1 to {context}, given; red: to be predicted. "
        caption += f"Shown: {_numbers(times + 1)}."
        rows = "".join(
            f"<tr><td>{label}</td><td>{page.picture(media.strip([video[times]]))}</td></tr>"
            for label, video in zip(labels, scaled)
        )
        moving = page.embedded(media.to_gif(media.grid([scaled])), "gif", ", ".join(labels))
        pieces.append(
            f"<figure><table class='strip'>{rows}</table>{moving}"
            f"<figcaption>{caption} Moving: {', '.join(labels)}.</figcaption></figure>"
        )
    return "".join(pieces)


def _numbers(values) -> str:
    return ", ".join(map(str, values))
