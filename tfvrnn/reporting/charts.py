"""Charts as SVG text."""

import io
import warnings
from collections.abc import Sequence

from matplotlib.figure import Figure

STYLES = {"best": "-", "mean": "--", "worst": ":"}


def curves_chart(
    title: str, figures: Sequence[tuple[str, dict | None]], time: str = "predicted frame"
) -> str:
    """Draw curves over the frames, with one colour per run and one line style per choice.

    Args:
        title: of the vertical axis.
        figures: (run, {best, mean, worst: {curve}}, or {curve}, or None).
        time: name of the horizontal axis.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes, lines, names = figure.add_subplot(), [], []
    for number, (run, choices) in enumerate(figures):
        choices = choices or {}
        if "curve" in choices:
            choices = {"best": choices}
        for choice, style in STYLES.items():
            if choice in choices:
                curve = choices[choice]["curve"]
                steps = range(1, len(curve) + 1)
                (line,) = axes.plot(steps, curve, style, color=f"C{number}", marker=_mark(curve))
                if style == "-":
                    lines.append(line)
                    names.append(_drawable(run))
    axes.set_xlabel(time)
    axes.set_ylabel(_drawable(title), parse_math=False)
    axes.grid(alpha=0.3)
    for text in axes.legend(lines, names, frameon=False).get_texts():
        text.set_parse_math(False)  # a name between two $ is not a formula
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Letters that the font lacks become boxes.
        warnings.filterwarnings("ignore", r"Glyph \d+ ")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _drawable(name: str) -> str:
    """Convert a text to valid UTF-8, as it may hold a folder's name, which need not be."""
    return name.encode("utf-8", "replace").decode()


def _mark(curve):
    """Return a marker for a curve of a single point, which draws no line."""
    return "o" if len(curve) == 1 else None
