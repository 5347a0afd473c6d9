"""Measure how well moving digits keep their shape: one figure per predicted frame.

    python benchmarks/shapes.py --run_dir=RUN | --pretrained=smmnist [--contexts=64 --samples=3]

The figure is the correlation of a sampled frame with the true frame at the best circular shift. It
does not depend on where the digit went. It is averaged over test videos and their samples. The run
must be of smmnist with one digit. The output is JSON.
"""

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from tfvrnn import config_flags, media
from tfvrnn.cli import runtime
from tfvrnn.cli.sample import Options


def main(arguments):
    given = {"contexts": 64, "samples": 3} | config_flags.parse_changes(arguments, Options)
    wanted = Options(**given)

    from tfvrnn.data import first_videos
    from tfvrnn.runs import load_run
    from tfvrnn.sampling import sample_videos

    config, model, step = load_run(wanted.model_dir)
    horizon = wanted.horizon or config.data.horizon
    data = dataclasses.replace(config.data, horizon=horizon)
    videos = first_videos(data, config.model, "test", wanted.contexts)
    context, truth = np.split(videos, [model.context_frames], axis=1)
    seeds = wanted.seed + np.arange(wanted.contexts * wanted.samples)
    futures = sample_videos(model, context, horizon, seeds.reshape(wanted.contexts, -1)).numpy()
    futures = media.to_uint8(futures)
    likeness = best_correlation(futures[..., 0] / 255, truth[:, None, ..., 0] / 255)
    print(json.dumps({"step": step, "shape": likeness.mean(axis=(0, 1)).round(2).tolist()}))


def best_correlation(a, b):
    """Compute the correlation of pictures `[..., H, W]` at the shift where it is largest."""
    a, b = (x - x.mean(axis=(-2, -1), keepdims=True) for x in (a, b))
    products = np.fft.ifft2(np.fft.fft2(a) * np.conj(np.fft.fft2(b))).real.max(axis=(-2, -1))
    sizes = np.sqrt(np.square(a).sum(axis=(-2, -1)) * np.square(b).sum(axis=(-2, -1)))
    return products / np.maximum(sizes, 1e-9)


if __name__ == "__main__":
    runtime.run(main, __doc__, Options)
