"""Pages of HTML that open offline: style, tables and embedded pictures."""

import base64
import html
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1150px; margin: 2em auto; padding: 0 1em;
       color: #222; background: #fff; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { padding: .3em .5em; font-size: .8em; text-align: right; border-bottom: 1px solid #ddd; }
td, th { white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
figure { margin: 1em 0; } figcaption, .small { color: #555; font-size: .85em; }
.charts { display: flex; flex-wrap: wrap; }
.charts svg { width: 540px; max-width: 100%; height: auto; }
.strip td { padding: 2px 8px; border: 0; } img { max-width: 100%; image-rendering: pixelated; }
.grid img { image-rendering: auto; }
pre { overflow-x: auto; background: #f4f4f4; padding: 1em; }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Make a whole page.

    Args:
        title: HTML, without tags.
        parts: HTML.
    """
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def html_table(names: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Make a table of text, which is escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    return [line.rstrip() for line in lines]


def with_interval(figure: dict, form: str) -> str:
    """Write a mean as text, with its interval of 95 % if it has one, else its deviation."""
    text = f"{figure['mean']:{form}}"
    if "interval" in figure:
        low, high = figure["interval"]
        return f"{text} [{low:{form}}, {high:{form}}]"
    return f"{text} ± {figure['deviation']:{form}}" if "deviation" in figure else text


def picture(pixels: np.ndarray) -> str:
    """Embed a picture, uint8 `[H, W, 1 or 3]`, in the page."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    return embedded(png(image), "png", "")


def png(image: Image.Image) -> bytes:
    """Encode an image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def embedded(content: bytes, kind: str, label: str) -> str:
    """Embed a picture of a kind (png, gif) in the page."""
    coded = base64.b64encode(content).decode()
    return f"<img alt='{html.escape(label)}' src='data:image/{kind};base64,{coded}'>"


def details(summary: str, content: Any) -> str:
    """Show content as JSON that opens on a click."""
    text = html.escape(json.dumps(content, indent=2))
    return f"<details><summary>{html.escape(summary)}</summary><pre>{text}</pre></details>"
