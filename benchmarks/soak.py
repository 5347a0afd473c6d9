"""Overload the laptop server: twice the rate that it can bear, hanging clients, new versions.

    python benchmarks/soak.py [--seconds=600] [--versions=1]

A small model is exported, and bin/serve.py serves it. Requests come at fixed times, whether or not
earlier ones were answered. Every answer is compared with the model's own frames. Other clients hang
after half a request. New versions are exported at equal intervals. One JSON line is printed. The
exit code is 1 if an answer was wrong, a request was neither answered nor refused with a proper
code, the newest version never answered, or the server died.
"""

import collections
import contextlib
import functools
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common

from tfvrnn.cli import runtime
from tfvrnn.config import ModelConfig

ROOT = Path(__file__).resolve().parents[1]
QUEUE = 32
MODEL = ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1, 4))
HORIZON, SEEDS, CLIENTS, DEADLINE = 4, 16, 128, 5.0
PROPER = {"RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED"}


def main(arguments):
    seconds, others = common.take("seconds", arguments)
    versions, others = common.take("versions", others)
    if others:
        sys.exit(__doc__)
    seconds = common.number("seconds", seconds, 600)
    versions = int(common.number("versions", versions, 1))
    report = overload(seconds, versions)
    print(json.dumps(report))
    good = report["alive"] and not report["wrong"] and set(report["refused"]) <= PROPER
    sys.exit(0 if good and report["versions"][-1] == versions + 1 else 1)


def overload(seconds, versions) -> dict:
    """Export a model, serve it, overload the server, and export `versions` more meanwhile."""
    import numpy as np

    from tfvrnn.models import build_model
    from tfvrnn.sampling import sample_videos
    from tfvrnn.serving.export import export_model

    model = build_model(MODEL)
    shape = (1, model.context_frames, *model.image_shape)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    futures = sample_videos(model, frames, HORIZON, [list(range(SEEDS))])[0]
    expected = np.round(255.0 * futures.numpy())
    with tempfile.TemporaryDirectory() as base:
        export = functools.partial(export_model, model, base, HORIZON)
        export()
        with served(base) as (process, target, rest_port):
            load = Load(target, frames, expected)
            rate = load.sustainable(min(10.0, seconds))
            hanging = [*hang(target, rest_port, 20)]
            later = threading.Thread(
                target=at_intervals, args=(seconds, versions, export), daemon=True
            )
            later.start()
            memory = load.run(2 * rate, seconds, process)
            later.join()
            load.wait_for_version(versions + 1, 60)
            report = {"seconds": seconds, "sustainable_per_s": round(rate), **load.report()}
            alive = process.poll() is None and load.ask(0) is None
            for connection in hanging:
                connection.close()
    return report | memory | {"hanging_clients": len(hanging), "alive": alive}


def at_intervals(seconds, times, act):
    """Call `act` several times within `seconds`, one call after another."""
    began = time.monotonic()
    for number in range(1, times + 1):
        due = began + seconds * number / (times + 1)
        time.sleep(max(0.0, due - time.monotonic()))
        act()


@contextlib.contextmanager
def served(base):
    """Start bin/serve.py, and yield (process, gRPC address, REST port) once it is warmed up."""
    command = [
        sys.executable, str(ROOT / "bin" / "serve.py"), f"--export={base}", "--port=0",
        "--rest_port=0", f"--queue={QUEUE}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        target, port = re.search(
            r"gRPC at ([^,]+),.*?:(\d+)(?:/|\s|$)", process.stdout.readline()
        ).groups()
        assert "serving" in process.stdout.readline()
        yield process, target, int(port)
    finally:
        process.terminate()
        process.wait()


def hang(target, rest_port, count):
    """Open connections that send part of a request and then nothing."""
    host, _, port = target.rpartition(":")
    head = b"POST /v1/models/tfvrnn:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{"
    for k in range(count):
        connection = socket.create_connection((host, int(port) if k % 2 else rest_port))
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0" if k % 2 else head)
        yield connection


class Load:
    """Sends requests to a server, and counts their outcomes."""

    def __init__(self, target, frames, expected):
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        self.expected = expected
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(target))
        self.requests = []
        for seed in range(SEEDS):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "tfvrnn"
            request.inputs["frames"].CopyFrom(tf.make_tensor_proto(frames))
            request.inputs["seed"].CopyFrom(tf.make_tensor_proto([seed], tf.int32))
            self.requests.append(request)
        self.forget()

    def forget(self):
        """Start counting again."""
        self.latencies, self.versions, self.wrong = [], set(), 0
        self.refused = collections.Counter()

    def ask(self, number):
        """Send one request; return the code of its refusal, or None."""
        import grpc
        import numpy as np
        import tensorflow as tf

        seed, start = number % SEEDS, time.perf_counter()
        try:
            answer = self.stub.Predict(self.requests[seed], timeout=DEADLINE)
        except grpc.RpcError as error:
            self.refused[error.code().name] += 1
            return error.code().name
        self.latencies.append(time.perf_counter() - start)
        self.versions.add(answer.model_spec.version.value)
        found = tf.make_ndarray(answer.outputs["frames"])[0].astype(np.float32)
        # Rounding may turn half a grey level into one.
        self.wrong += bool(np.abs(found - self.expected[seed]).max() > 1)
        return None

    def sustainable(self, seconds) -> float:
        """Measure the answers per second to as many busy clients as fill the queue."""
        until = time.perf_counter() + seconds
        with ThreadPoolExecutor(QUEUE) as pool:
            counts = pool.map(lambda k: self._ask_until(until, k), range(QUEUE))
        rate = sum(counts) / seconds
        self.forget()
        return rate

    def _ask_until(self, until, number) -> int:
        answered = 0
        while time.perf_counter() < until:
            answered += self.ask(number) is None
        return answered

    def run(self, rate, seconds, process) -> dict:
        """Send requests at a rate; report the server's memory in the first and last quarter, MB."""
        memory = [resident_mb(process.pid)]
        start, asked = time.perf_counter(), 0
        with ThreadPoolExecutor(CLIENTS) as pool:
            while (now := time.perf_counter() - start) < seconds:
                due = int(now * rate)
                # Queue no more requests here than there are clients: else they would be late, not
                # the server.
                for number in range(asked, due):
                    if pool._work_queue.qsize() < CLIENTS:
                        pool.submit(self.ask, number)
                asked = due
                if now > len(memory):
                    memory.append(resident_mb(process.pid))
                time.sleep(0.005)
        quarter = max(1, len(memory) // 4)
        return {
            "offered_per_s": round(asked / seconds),
            "mb_first_quarter": max(memory[:quarter]),
            "mb_last_quarter": max(memory[-quarter:]),
        }

    def wait_for_version(self, version, seconds) -> None:
        """Ask until a version answers, or the time is up."""
        until = time.perf_counter() + seconds
        while version not in self.versions and time.perf_counter() < until:
            self.ask(0)
            time.sleep(0.1)

    def report(self) -> dict:
        import numpy as np

        p50, p99 = 1000 * np.percentile(self.latencies, [50, 99])
        return {
            "answered": len(self.latencies),
            "wrong": self.wrong,
            "refused": dict(self.refused),
            "versions": sorted(self.versions),
            "p50_ms": round(float(p50)),
            "p99_ms": round(float(p99)),
        }


def resident_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) // 1024


if __name__ == "__main__":
    runtime.run(main, __doc__)
