"""One picture of several systems on the same contexts, as in the paper's Figs. C.1 to C.3."""

import functools
import re
from collections.abc import Sequence

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from tfvrnn import media
from tfvrnn.config import require

FRAME_SIDE = 96
CONTEXT_SHOWN = 3
PAPER_HORIZON, PAPER_SHOWN = 18, (1, 2, 4, 6, 8, 10, 13, 16, 18)
MARGIN, GAP, BREAK = 8, 2, 12  # pixels: around the picture, between cells, between groups
TEXT, LINE = 15, 20  # pixels
NAME_WIDTH, NAME_LINES = 20, 3  # characters, lines


def choose_times(
    context: int, horizon: int, wanted: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Choose the times of the columns, where 1 is the first frame of the context.

    The default is the last three frames of the context, then all predicted frames if they are at
    most nine. If there are more, nine are shown, spaced as in the paper: t = 1, 2 | 3, 4, 6, 8, 10,
    12, 15, 18, 20 of 2 + 18 frames.

    Args:
        context, horizon: numbers of given and predicted frames.
        wanted: times to use instead, in any order.

    Raises:
        UserError: `wanted` has a time outside the video, or no predicted time.
    """
    last = context + horizon
    if wanted is not None:
        times = tuple(sorted(set(wanted)))
        rule = f"`grid_times` must lie in 1 to {last}, one of them after the context's {context}."
        fits = bool(times) and times[0] >= 1 and context < times[-1] <= last
        require(fits, rule, ", ".join(map(str, wanted)) or "none")
        return times
    ahead = range(1, horizon + 1)
    if horizon > len(PAPER_SHOWN):
        stretch = (horizon - 1) / (PAPER_HORIZON - 1)
        ahead = [1 + round((time - 1) * stretch) for time in PAPER_SHOWN]
    given = range(max(1, context + 1 - CONTEXT_SHOWN), context + 1)
    return (*given, *(context + time for time in ahead))


def magnification(width: int) -> int:
    """Return the factor that brings frames of this width near FRAME_SIDE pixels."""
    return max(1, round(FRAME_SIDE / width))


def draw_grid(
    truth: np.ndarray,
    systems: Sequence[tuple[str, np.ndarray]],
    context: int,
    times: Sequence[int],
) -> Image.Image:
    """Draw a block of rows per video, the truth and then every system, with a column per time.

    The truth's row shows the context, and the systems' rows only what they predict.

    Args:
        truth: uint8 `[V, T, H, W, C]`.
        systems: (name, futures), the futures shaped as the truth.
        context: number of given frames among the T.
        times: of the columns, increasing, from 1.
    """
    videos_VRTHWC = np.stack([truth, *(futures for _, futures in systems)], axis=1)
    factor, given = magnification(truth.shape[-2]), sum(time <= context for time in times)
    side, rows = factor * truth.shape[-2], 1 + len(systems)
    labels = [
        label
        for video in range(len(truth))
        for label in (f"GT\nvideo {video}", *(_label(name) for name, _ in systems))
    ]
    left = MARGIN + _text_width("\n".join(labels)) + BREAK
    xs = _places(left, side, (given, len(times) - given))
    ys = _places(MARGIN + 2 * LINE + GAP, side, (rows,) * len(truth))
    image = Image.new("RGB", (xs[-1] + side + MARGIN, ys[-1] + side + MARGIN), "white")
    _draw_head(image, list(zip(xs, times)), given, side)
    for number, (label, y) in enumerate(zip(labels, ys)):
        _write(image, (MARGIN, y + side // 2), label, "lm")
        video, row = divmod(number, rows)
        for x, time in zip(xs, times):
            if row == 0 or time > context:
                frame = media.enlarge(videos_VRTHWC[video, row, time - 1], factor)
                image.paste(Image.fromarray(frame.repeat(3 // frame.shape[-1], axis=-1)), (x, y))
    return image


def caption(settings: dict) -> str:
    """Say what the grid shows, and which futures, from the settings of the protocol."""
    return (
        f"GT: the true frames, of the first videos of the {settings['split']} split. Below them: "
        "the first future of each system, not chosen by any score. Its seed is "
        f"{settings['seed']} + {settings['samples']} * video; a deterministic system has one "
        "future only."
    )


def _places(begin: int, side: int, groups: Sequence[int]) -> list[int]:
    """Return where every cell begins, for groups of the given numbers of cells."""
    places = []
    for size in groups:
        places += [begin + cell * (side + GAP) for cell in range(size)]
        begin += size * (side + GAP) + (BREAK if size else 0)
    return places


def _draw_head(image, columns, given, side):
    """Write the times above the columns, and above them what is given (green) or predicted."""
    groups = (("Context", columns[:given], media.GREEN), ("Predicted", columns[given:], media.RED))
    for text, group, colour in groups:
        if group:
            begin, end = group[0][0], group[-1][0] + side
            _write(image, ((begin + end) // 2, MARGIN + LINE // 2), text, "mm")
            y = MARGIN + LINE
            ImageDraw.Draw(image).rectangle((begin, y, end - 1, y + 1), fill=colour)
    for x, time in columns:
        _write(image, (x + side // 2, MARGIN + LINE + GAP + LINE // 2), f"t = {time}", "mm")


def _label(name: str) -> str:
    """Break a name into lines that fit beside a row. Keep the end of a name that is too long."""
    lines = [""]
    pieces = rf".{{1,{NAME_WIDTH}}}?(?:[ _/-]|$)|.{{{NAME_WIDTH}}}"  # up to a separator
    for piece in re.findall(pieces, " ".join(name.split())):
        if lines[-1] and len(lines[-1] + piece.rstrip()) > NAME_WIDTH:
            lines.append("")
        lines[-1] += piece
    cut = "…" if len(lines) > NAME_LINES else ""
    return cut + "\n".join(lines[-NAME_LINES:])


def _write(image, place, text, anchor):
    ImageDraw.Draw(image).text(place, text, "black", _font(), anchor)


def _text_width(text: str) -> int:
    return round(max(_font().getlength(line) for line in text.split("\n")))


@functools.cache
def _font():
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), TEXT)  # matplotlib's own
