"""Measure requests/s and latency of the laptop server over gRPC, by number of clients.

    python benchmarks/serving.py [--model.width=16 …]

A model with fresh weights is exported, and bin/serve.py serves it on loopback, with and without
batching. One JSON line is printed per setting.
"""

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common

from tfvrnn import config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import Config, DataConfig, ModelConfig

ROOT = Path(__file__).resolve().parents[1]
CLIENTS, SECONDS = (1, 4, 16), 10.0
DEFAULT = Config(
    model=ModelConfig(image_size=32, channels=1, width=8, groups=2), data=DataConfig(horizon=10)
)


def main(arguments):
    config = config_flags.replace(DEFAULT, config_flags.parse_changes(arguments, Config))

    import numpy as np

    from tfvrnn.models import build_model
    from tfvrnn.serving.export import export_model

    model = build_model(config.model)
    frames = np.zeros((1, model.context_frames, *model.image_shape), np.uint8)
    with tempfile.TemporaryDirectory() as base:
        version = export_model(model, base, config.data.horizon)
        print(json.dumps({"machine": common.machine(), **warmed(version, frames)}))
        for batching in (True, False):
            with served(base, batching) as target:
                for clients in CLIENTS:
                    report = {"batching": batching, "clients": clients}
                    print(json.dumps(report | load(target, clients, frames)), flush=True)


def warmed(version, frames):
    """Measure the latency of the first real request after the warm-up, against the median."""
    import numpy as np

    from tfvrnn.serving.servable import Servable

    servable = Servable(version)
    servable.warm_up()
    inputs = {"frames": frames, "seed": np.zeros(1, np.int32)}
    times = [common.timed(lambda: servable.run("serving_default", inputs)) for _ in range(21)]
    median = float(np.median(times[1:]))
    return {
        "first_request_ms": round(1000 * times[0], 1),
        "median_request_ms": round(1000 * median, 1),
        "first_to_median": round(times[0] / median, 2),
    }


@contextlib.contextmanager
def served(base, batching):
    """Start bin/serve.py, and yield its gRPC address once it is warmed up."""
    command = [
        sys.executable, str(ROOT / "bin" / "serve.py"), f"--export={base}", "--port=0",
        "--rest_port=0", f"--batching={batching}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        target = re.search(r"gRPC at ([^,]+),", process.stdout.readline()).group(1)
        assert "serving" in process.stdout.readline()
        yield target
    finally:
        process.terminate()
        process.wait()


def load(target, clients, frames):
    """Measure requests/s and percentiles of the latency under `clients` busy clients."""
    import numpy as np

    from tfvrnn.serving.client import Client

    latencies, until = [], time.perf_counter() + SECONDS

    def ask(seed):
        with Client(target) as client:
            while time.perf_counter() < until:
                latencies.append(common.timed(lambda: client.sample(frames, [seed])))

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(latencies) / (time.perf_counter() - start)
    p50, p99 = 1000 * np.percentile(latencies, [50, 99])
    return {
        "requests_per_s": round(rate, 1),
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
    }


if __name__ == "__main__":
    runtime.run(main, __doc__)
