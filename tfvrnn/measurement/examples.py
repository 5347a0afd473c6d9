"""The clips that a report shows."""

import numpy as np
from PIL import Image

from tfvrnn.measurement.clips import Clip, read_clips
from tfvrnn.measurement.parts import Arrays
from tfvrnn.measurement.result import UNPAIRED
from tfvrnn.measurement.selection import Chosen, Selection, samples_measured

SIDE, FRAMES, SAMPLES = 192, 48, 3  # limits: pixels, frames; samples of a pair


def examples(selection: Selection, values: Arrays, number: int) -> tuple[np.ndarray, list[str]]:
    """Return (uint8 `[number, rows, T, H, W, 3]`, names of the rows).

    The rows of a pair are the truth, the best sample by SSIM (or PSNR), and the first samples.
    Without pairs, the rows are unrelated clips of both sides.
    """
    if selection.pairs:
        return _of_pairs(selection, values, number)
    columns = [_shown(one, one.clips[:number], selection) for one in selection.sides]
    many = min(map(len, columns))
    rows = [name for name in UNPAIRED if name in [one.side.label for one in selection.sides]]
    return np.stack([column[:many] for column in columns], axis=1), rows


def _of_pairs(selection: Selection, values: Arrays, number: int) -> tuple[np.ndarray, list[str]]:
    real, generated = selection.sides
    score = values.get("ssim", values["psnr"])
    first = range(min(SAMPLES, samples_measured(selection.pairs)))
    alone = len(first) == 1  # the only sample is the best
    found = []
    for pair, own in zip(selection.pairs[:number], score):
        wanted = [pair.samples[k] for k in first]
        if not alone:
            wanted.insert(0, pair.samples[int(own.mean(axis=1).argmax())])
        truth = _shown(real, [pair.real], selection)
        found.append([*truth, *_shown(generated, wanted, selection)])
    rows = ["real", *([] if alone else ["best"]), *(f"sample {k}" for k in first)]
    return _stacked(found), ["real", "generated"] if alone else rows


def _stacked(found: list) -> np.ndarray:
    if not found:
        return np.zeros((0, 2, 1, 1, 1, 3), np.uint8)
    return np.stack([np.stack(rows) for rows in found])


def _shown(one: Chosen, clips: list[Clip], selection: Selection) -> np.ndarray:
    found = read_clips(one.side.videos, clips, selection.reading)
    taken = [_small(clip[:FRAMES]) for clip in found]
    return np.stack(taken) if taken else np.zeros((0, 1, 1, 1, 3), np.uint8)


def _small(clip: np.ndarray) -> np.ndarray:
    longest = max(clip.shape[1:3])
    if longest <= SIDE:
        return clip
    height, width = (max(1, round(side * SIDE / longest)) for side in clip.shape[1:3])
    frames = [
        Image.fromarray(frame).resize((width, height), Image.Resampling.BOX) for frame in clip
    ]
    return np.stack([np.asarray(frame) for frame in frames])
