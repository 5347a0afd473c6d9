"""Time sampling: batches, many samples of one context, and memory over the horizon.

    python benchmarks/sampling.py [--model.width=16 …] [--peer_python=PYTHON]

It prints one JSON line. With `--peer_python`, an interpreter that has PyTorch, the peer of
benchmarks/peers/ samples in between. It samples in two ways: stateful, and re-running the whole
sequence for every frame, as the authors' release does. Re-running 28 frames of 100 samples would
take an hour. So 4 samples are timed, and 25 times that is compared.
"""

import dataclasses
import json
import resource
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common

from tfvrnn import backend, config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import Config, DataConfig, ModelConfig

ROUNDS, REPEATS = 3, 5
MANY, FAR, RERUN_SAMPLES = 100, 28, 4
DEFAULT = Config(model=ModelConfig(width=16), data=DataConfig(batch_size=4, horizon=10))


def main(arguments):
    peer, arguments = common.take("peer_python", arguments)
    config = config_flags.replace(DEFAULT, config_flags.parse_changes(arguments, Config))
    batch, many, peak = prepare(config)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(common.median_time(batch, REPEATS))
        if peer:
            theirs.append(common.run_peer(peer, config, repeats=1))
    report = {
        "machine": common.machine(),
        "sample_s": round(statistics.median(ours), 3),
        f"{MANY}_samples_of_{FAR}_frames_s": round(common.median_time(many, 3), 2),
        **peak,
    }
    if peer:
        report |= compare(report, theirs, peer, config)
    print(json.dumps(report))


def compare(report, theirs, peer, config) -> dict:
    stateful = statistics.median(found["sample_stateful_s"] for found in theirs)
    data = dataclasses.replace(config.data, batch_size=RERUN_SAMPLES, horizon=FAR)
    far = common.run_peer(peer, dataclasses.replace(config, data=data), repeats=1)
    rerun = far["sample_rerun_s"] * MANY / RERUN_SAMPLES
    return {
        "peer_stateful_s": stateful,
        "peer_rerun_s": statistics.median(found["sample_rerun_s"] for found in theirs),
        "ratio_to_stateful": round(stateful / report["sample_s"], 2),
        f"peer_rerun_{MANY}_samples_of_{FAR}_frames_s": round(rerun, 1),
        "ratio_to_rerun": round(rerun / report[f"{MANY}_samples_of_{FAR}_frames_s"], 1),
    }


def prepare(config):
    """Prepare (sample a batch, draw many futures of one context, peak memory by horizon)."""
    import numpy as np

    from tfvrnn.models import build_model
    from tfvrnn.sampling import sample_videos

    backend.divide_cores()
    model = build_model(config.model)
    rng = np.random.default_rng(0)
    shape = (config.data.batch_size, model.context_frames, *model.image_shape)
    context = rng.uniform(size=shape).astype(np.float32)
    seeds = np.arange(len(context))

    def batch(horizon=config.data.horizon):
        sample_videos(model, context, horizon, seeds).numpy()

    def many():
        sample_videos(model, context[:1], FAR, np.arange(MANY)[None]).numpy()

    peak = {}
    for horizon in (10, 100, 1000):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        batch(horizon)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        output = shape[0] * horizon * np.prod(model.image_shape) * 4
        peak[f"peak_mb_{horizon}_frames"] = round(after / 1024)
        peak[f"rise_over_output_{horizon}_frames"] = round((after - before) * 1024 / output, 1)
    return batch, many, peak


if __name__ == "__main__":
    runtime.run(main, __doc__)
