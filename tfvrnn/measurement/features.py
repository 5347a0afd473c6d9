"""Features of clips, and measures of pairs, computed in parts."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfvrnn import media, metrics
from tfvrnn.measurement.clips import Clip, Reading, read_clips
from tfvrnn.measurement.parts import Arrays, Parts
from tfvrnn.measurement.selection import Chosen, Selection, samples_measured
from tfvrnn.metrics.frame import PSNR_OF_EQUAL_FRAMES

CLIPS_AT_ONCE = 4
FRAMES_AT_ONCE = 32


def features_of(
    one: Chosen, reading: Reading, network: metrics.FeatureNetwork, parts: Parts
) -> np.ndarray:
    """Compute features float32 `[N, D]` of the clips of a side."""

    def work(numbers: Sequence[int]) -> Iterator[Arrays]:
        clips = read_clips(one.side.videos, [one.clips[number] for number in numbers], reading)
        portion = []
        for place, clip in enumerate(clips, 1):
            portion.append(clip)
            if len(portion) == CLIPS_AT_ONCE or place == len(numbers):
                yield {"features": np.asarray(network(np.stack(portion)), np.float32)}
                portion = []

    kind = {"features": network.digest, "reading": reading.values()}
    keys = [_key(one, clip) for clip in one.clips]
    return parts.compute(kind, keys, work, f"features of {one.side.label}")["features"]


def _key(one: Chosen, clip: Clip) -> str:
    return f"{one.facts['digest'][clip.video]} {clip.start}"


class PairMeasures:
    """Measures frames against the truth.

    Args:
        ssim: definition of SSIM; None: not measured.
        lpips: None: not measured.
    """

    def __init__(self, ssim: str | None, lpips: metrics.LPIPS | None):
        self.ssim, self.lpips = ssim, lpips
        self._compiled = tf.function(self._measures, autograph=False)

    def values(self) -> dict:
        """Return the choices on which the figures depend, for JSON."""
        return {"ssim": self.ssim, "lpips": self.lpips.digest if self.lpips else None}

    def __call__(self, frames: np.ndarray, truth: np.ndarray) -> Arrays:
        """Return {psnr, ssim, lpips: `[N]`} of uint8 frames `[N, H, W, 3]`.

        It always computes the same number of frames at once, so that nothing is traced twice.
        """
        found = []
        for begin in range(0, len(frames), FRAMES_AT_ONCE):
            pair = [x[begin : begin + FRAMES_AT_ONCE] for x in (frames, truth)]
            size = len(pair[0])
            missing = [(0, FRAMES_AT_ONCE - size), (0, 0), (0, 0), (0, 0)]
            measured = self._compiled(
                *(tf.constant(media.to_float(np.pad(x, missing))) for x in pair)
            )
            found.append({name: value.numpy()[:size] for name, value in measured.items()})
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    def _measures(self, frames, truth):
        found = {"psnr": tf.minimum(metrics.psnr(frames, truth), PSNR_OF_EQUAL_FRAMES)}
        if self.ssim:
            found["ssim"] = metrics.ssim(frames, truth, self.ssim)
        if self.lpips:
            found["lpips"] = self.lpips(frames, truth)
        return found


def values_of_pairs(selection: Selection, measures: PairMeasures, parts: Parts) -> Arrays:
    """Return {psnr, ssim, lpips: `[V, S, T]`} of V pairs, S samples, T frames."""
    (real, generated), pairs = selection.sides, selection.pairs
    reading, samples = selection.reading, samples_measured(pairs)

    def work(numbers: Sequence[int]) -> Iterator[Arrays]:
        for number in numbers:
            pair = pairs[number]
            [truth] = read_clips(real.side.videos, [pair.real], reading)
            clips = read_clips(generated.side.videos, pair.samples[:samples], reading)
            rows = [measures(clip, truth) for clip in clips]
            yield {name: np.stack([row[name] for row in rows])[None] for name in rows[0]}

    kind = {"pairs": measures.values(), "samples": samples, "reading": reading.values()}
    keys = [
        " ".join([_key(real, pair.real), *(_key(generated, c) for c in pair.samples[:samples])])
        for pair in pairs
    ]
    return parts.compute(kind, keys, work, "comparing pairs")
