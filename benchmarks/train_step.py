"""Time the train step, and the time from the start of the process to the end of the first step.

    python benchmarks/train_step.py [--flagfile=…] [--model.width=16 …] [--peer_python=PYTHON]

It prints one JSON line. With `--peer_python`, an interpreter that has PyTorch, the peer of
benchmarks/peers/ does the same work in between, round by round, and the line holds the ratio.
"""

import time

START = time.perf_counter()

import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common  # noqa: E402
import roofline  # noqa: E402

from tfvrnn import config_flags  # noqa: E402
from tfvrnn.cli import runtime  # noqa: E402
from tfvrnn.config import Config, DataConfig, ModelConfig  # noqa: E402

ROUNDS, STEPS = 3, 4
# The size of the peer's recorded figures: 2 + 10 frames of 64x64x3, width 16, batch 4.
DEFAULT = Config(model=ModelConfig(width=16), data=DataConfig(batch_size=4, horizon=10))


def main(arguments):
    peer, arguments = common.take("peer_python", arguments)
    config = config_flags.replace(DEFAULT, config_flags.parse_changes(arguments, Config))
    step, frames, model = prepare(config)
    step()
    first = time.perf_counter() - START
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(statistics.median(common.timed(step) for _ in range(STEPS)))
        if peer:
            theirs.append(common.run_peer(peer, config, STEPS)["train_frames_per_s"])
    report = {
        "machine": common.machine(),
        "parameters": model.count_params(),
        "first_step_s": round(first, 1),
        "train_step_s": round(statistics.median(ours), 3),
        "train_frames_per_s": round(frames / statistics.median(ours), 2),
        **roof(model, config, statistics.median(ours)),
    }
    if peer:
        report["peer_frames_per_s"] = statistics.median(theirs)
        report["ratio"] = round(report["train_frames_per_s"] / report["peer_frames_per_s"], 3)
    print(json.dumps(report))


def roof(model, config, seconds) -> dict:
    """Report memory so far, operations per frame, and the share of the machine's best rate."""
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flops = roofline.training_flops(model, config.data.horizon)
    peak = roofline.peak_flops(together=os.cpu_count())
    return {
        "gflop_a_frame": round(flops / config.frames / 1e9, 3),
        "peak_gflops": round(peak / 1e9, 1),
        "share_of_peak": round(config.data.batch_size * flops / seconds / peak, 3),
        "peak_rss_mb": round(peak_rss / 1024),
    }


def prepare(config):
    """Prepare (function without arguments that takes one step, frames per step, model)."""
    import tensorflow as tf

    from tfvrnn.data import make_dataset
    from tfvrnn.models import build_model
    from tfvrnn.training.loop import prepare_tensorflow
    from tfvrnn.training.optimizer import make_optimizer
    from tfvrnn.training.step import make_train_step

    prepare_tensorflow(config)
    model = build_model(config.model, config.train.precision, remat=config.train.remat)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    train_step = make_train_step(model, optimizer, config)
    frames = next(iter(make_dataset(config.data, config.model, "train")))
    numbers = iter(range(10**9))

    def step():
        metrics = train_step(frames, tf.constant(next(numbers), tf.int64))
        if train_step.experimental_get_tracing_count() != 1:
            raise RuntimeError("the train step was traced again")
        return float(metrics["loss"])

    return step, config.data.batch_size * config.frames, model


if __name__ == "__main__":
    runtime.run(main, __doc__)
