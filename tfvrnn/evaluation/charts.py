"""Charts as SVG text."""

import io

from matplotlib.figure import Figure

STYLES = {"best": "-", "mean": "--", "worst": ":"}


def curves_chart(title: str, figures: dict[str, dict | None]) -> str:
    """Curves over the predicted frames: a colour for each run, a line style for each choice.

    Args:
        title: of the vertical axis.
        figures: {run: {best, mean, worst: {curve}}, or {curve}, or None}.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for number, (run, choices) in enumerate(figures.items()):
        choices = choices or {}
        if "curve" in choices:
            choices = {"best": choices}
        for choice, style in STYLES.items():
            if choice in choices:
                curve = choices[choice]["curve"]
                label = run if style == "-" else None
                steps = range(1, len(curve) + 1)
                axes.plot(steps, curve, style, color=f"C{number}", label=label, marker=_mark(curve))
    axes.set_xlabel("predicted frame")
    axes.set_ylabel(title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _mark(curve):
    """A single point makes no line."""
    return "o" if len(curve) == 1 else None
