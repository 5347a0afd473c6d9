"""Charts as SVG text."""

import io
import warnings
from collections.abc import Sequence

from matplotlib.figure import Figure

STYLES = {"best": "-", "mean": "--", "worst": ":"}


def curves_chart(
    title: str, figures: Sequence[tuple[str, dict | None]], time: str = "predicted frame"
) -> str:
    """Curves over the frames: a colour for each run, a line style for each choice.

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
        text.set_parse_math(False)  # between two $ is no formula
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", r"Glyph \d+ ")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _drawable(name: str) -> str:
    """A text that may hold a folder's name, which need not be UTF-8."""
    return name.encode("utf-8", "replace").decode()


def _mark(curve):
    """A single point makes no line."""
    return "o" if len(curve) == 1 else None
