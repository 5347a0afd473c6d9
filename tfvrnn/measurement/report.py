"""A measurement as a table of text, and as one HTML file that opens offline."""

import html
from pathlib import Path

import numpy as np

from tfvrnn import media
from tfvrnn.measurement.result import Measurement
from tfvrnn.reporting import page
from tfvrnn.reporting.charts import curves_chart

FRAMES_IN_STRIP = 10
LISTED = 20  # names of a list in the report; the JSON has all names
SHOWN_WIDTH = 128  # pixels that small frames are enlarged to
DISTANCES = (("fvd", "FVD ↓", ".2f"), ("fvd_infinity", "FVD∞ ↓", ".2f"), ("kvd", "KVD ↓", ".4f"))
MEASURES = (
    ("ssim", "SSIM ↑", ".4f"),
    ("psnr", "PSNR, dB ↑", ".2f"),
    ("lpips", "LPIPS ↓", ".4f"),
)
NAMES = ("figure", "value", "95 % interval", "deviation", "of")


def table(result: Measurement) -> str:
    """Format a measurement for a terminal: what the figures mean, the notes, then the figures."""
    return "\n".join([meaning(result), *result.notes, *page.text_table([NAMES, *_rows(result)])])


def write_report(result: Measurement, path: str | Path) -> None:
    """Write one self-contained HTML file: table, curves, clips side by side, protocol."""
    title = html.escape(f"{Path(result.generated).name} against {Path(result.real).name}")
    notes = "".join(f"<li class='small'>{html.escape(note)}</li>" for note in result.notes)
    parts = [
        f"<h1>{title}</h1><p>{html.escape(meaning(result))}</p>",
        page.html_table(NAMES, _rows(result)),
        f"<h2>Notes on the figures</h2><ul>{notes}</ul>" if notes else "",
        _curves(result),
        _examples(result),
        page.details("Videos left out, cut and resized", _shortened(result.treatment)),
        page.details("Protocol", result.protocol),
    ]
    text = page.page(title, parts)
    # Names of folders need not be UTF-8.
    Path(path).write_text(text, encoding="utf-8", errors="replace")


def meaning(result: Measurement) -> str:
    """Say what the figures are computed from. An FVD needs its number of clips beside it."""
    protocol = result.protocol
    settings, reading = protocol["settings"], protocol["reading"]
    how = f"{reading['height']}x{reading['width']}{', grey' if reading['grey'] else ''}"
    clips = f"Clips of {reading['frames']} frames, {how}; clips={settings['clips']}, "
    clips += f"start={settings['start']}, stride={reading['stride']}."
    distances = (
        f" FVD, KVD: network {_network(settings)}; deviation over {settings['subsets']} random "
        "halves (delete-half jackknife), interval ± 1.96 deviations. With few clips FVD is "
        "too large, and FVD-infinity needs well over 400."
    )
    if protocol["pairs"] and protocol["pairs"]["samples"] > 1:
        distances += " FVD uses the first sample of each video."
    lpips = f", LPIPS ({settings['lpips']})" * protocol["measured"]["lpips"]
    pairs = f" SSIM ({settings['ssim']}), PSNR{lpips}: deviation over videos, interval by the "
    pairs += "bootstrap over videos."
    distances *= protocol["measured"]["fvd"]
    pairs *= protocol["measured"]["psnr"]
    return f"{clips}{distances}{pairs} tfvrnn {protocol['versions']['tfvrnn']}."


def _network(settings: dict) -> str:
    own = settings["fvd_network"]
    return "I3D (Kinetics-400)" if own == "i3d" else own


def _rows(result: Measurement) -> list[list[str]]:
    rows = []
    for name, title, form in DISTANCES:
        figure = result.figures[name]
        if figure:
            counts = f"{figure['real']:,} real, {figure['generated']:,} generated clips"
            rows.append([title, *_cells(figure["value"], figure, form), counts])
        else:
            rows.append([title, "not measured", "", "", ""])
    pairs = result.protocol["pairs"]
    for name, title, form in MEASURES if pairs else ():
        figure = result.figures[name]
        if not figure:
            rows.append([title, "not measured", "", "", ""])
            continue
        choices = ("best", "mean", "worst") if pairs["samples"] > 1 else ("mean",)
        for choice in choices:
            of = f"{pairs['videos']:,} videos"
            of += f", {choice} of {pairs['samples']} samples" if len(choices) > 1 else ""
            rows.append([title, *_cells(figure[choice]["mean"], figure[choice], form), of])
    return rows


def _cells(value: float, figure: dict, form: str) -> list[str]:
    """Write value, interval and deviation as text."""
    interval, deviation = figure.get("interval"), figure.get("deviation")
    ends = f"{interval[0]:z{form}} to {interval[1]:z{form}}" if interval else ""
    return [f"{value:z{form}}", ends, f"{deviation:{form}}" if deviation is not None else ""]


def _curves(result: Measurement) -> str:
    if not result.protocol["pairs"]:
        return ""
    several = result.protocol["pairs"]["samples"] > 1
    charts = []
    for name, title, _ in MEASURES:
        figure = result.figures[name]
        if figure:
            shown = figure if several else {"curve": figure["mean"]["curve"]}
            label = Path(result.generated).name
            charts.append(curves_chart(title.rstrip(" ↑↓"), [(label, shown)], "frame of the clip"))
    lines = "Lines: best, mean (dashed) and worst (dotted) of the samples." if several else ""
    return (
        f"<h2>By frame</h2><p class='small'>{lines}</p><div class='charts'>{''.join(charts)}</div>"
    )


def _examples(result: Measurement) -> str:
    if not result.shown.size:
        return ""
    paired = bool(result.protocol["pairs"])
    text = "" if paired else "Clips shown side by side are unrelated."
    pieces = [f"<h2>Clips side by side</h2><p class='small'>{text}</p>"]
    for number, videos in enumerate(result.shown):
        scaled = media.enlarge(videos, max(1, SHOWN_WIDTH // videos.shape[-2]))
        frames = videos.shape[1]
        times = np.unique(np.linspace(0, frames - 1, FRAMES_IN_STRIP).round().astype(int))
        rows = "".join(
            f"<tr><td>{label}</td><td>{page.picture(media.strip([video[times]]))}</td></tr>"
            for label, video in zip(result.rows, scaled)
        )
        label = ", ".join(result.rows)
        moving = page.embedded(media.to_gif(media.grid([list(scaled)])), "gif", label)
        name = f"{result.names[number]}. " if paired else ""
        caption = f"{name}Frames {', '.join(map(str, times + 1))} of the clip. Moving: {label}."
        pieces.append(
            f"<figure><table class='strip'>{rows}</table>{moving}"
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    return "".join(pieces)


def _shortened(value):
    """Return a treatment with only the first names of each list."""
    if isinstance(value, dict):
        items = list(value.items())
        more = {"...": f"and {len(items) - LISTED:,} more"} if len(items) > LISTED else {}
        return {key: _shortened(part) for key, part in items[:LISTED]} | more
    if isinstance(value, list) and len(value) > LISTED:
        return [*value[:LISTED], f"and {len(value) - LISTED:,} more"]
    return value
