"""Time the metrics: I3D, and SSIM with PSNR over as many frames as a full evaluation has.

    python benchmarks/metrics.py [--videos=256]

It prints one JSON line. The frames are random. As in an evaluation, they are made and measured one
batch at a time. The rise of the peak memory shows that no more is held.
"""

import json
import resource
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common

from tfvrnn import config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import option

SIDE, CLIP, BATCH, SAMPLES, HORIZON, AT_ONCE = 64, 16, 8, 100, 28, 4
WARMING_UP = 3


@dataclass(frozen=True)
class MetricsConfig:
    """Options of benchmarks/metrics.py."""

    videos: int = option(256, "Videos to measure, with 100 samples of 28 frames each.")
    repeats: int = option(5, "Repetitions of I3D. The median counts.")


def main(arguments):
    wanted = MetricsConfig(**config_flags.parse_changes(arguments, MetricsConfig))
    report = {"machine": common.machine(), **time_i3d(wanted.repeats), **time_frames(wanted.videos)}
    print(json.dumps(report))


def time_i3d(repeats) -> dict:
    import numpy as np

    from tfvrnn.metrics import feature_network

    network = feature_network()
    clips = np.random.default_rng(0).integers(0, 256, (4, CLIP, SIDE, SIDE, 3), np.uint8)
    network(clips)
    seconds = [common.timed(lambda: network(clips)) / len(clips) for _ in range(repeats)]
    return {"i3d_s_per_clip": round(statistics.median(seconds), 3)}


def time_frames(videos) -> dict:
    import numpy as np
    import tensorflow as tf

    from tfvrnn.metrics import psnr, ssim

    rng = np.random.default_rng(0)
    shape = (BATCH, AT_ONCE, HORIZON, SIDE, SIDE, 3)

    @tf.function
    def measure(futures, truth):
        futures, truth = tf.cast(futures, tf.float32) / 255, tf.cast(truth, tf.float32) / 255
        return psnr(futures, truth), ssim(futures, truth)

    def batch():
        pair = [tf.constant(rng.integers(0, 256, shape, np.uint8)) for _ in range(2)]
        return [value.numpy() for value in measure(*pair)]

    for _ in range(WARMING_UP):
        batch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls = videos * SAMPLES // (BATCH * AT_ONCE)
    seconds = common.timed(lambda: [batch() for _ in range(calls)])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "frames": calls * BATCH * AT_ONCE * HORIZON,
        "ssim_psnr_s": round(seconds, 1),
        "frames_per_s": round(calls * BATCH * AT_ONCE * HORIZON / seconds),
        "batch_mb": round(np.prod(shape) * 4 / 2**20),
        "peak_rise_mb": round((after - before) / 1024),
    }


if __name__ == "__main__":
    runtime.run(main, __doc__, MetricsConfig)
