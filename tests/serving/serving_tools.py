"""Run a server, and send it requests with public stubs and plain HTTP only."""

import asyncio
import contextlib
import dataclasses
import json
import threading
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, predict_pb2

from tfvrnn.cli.serve import Options
from tfvrnn.serving.server import Server

HORIZON, LARGEST = 3, 4
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


def make_server(base, **options):
    options = {"export": str(base), "port": 0, "rest_port": 0} | options
    return Server(**dataclasses.asdict(Options(**options)))


@contextlib.contextmanager
def started(server):
    """Run a server in a thread of its own. Yield a function that runs a coroutine there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    try:
        call(server.start())
        try:
            yield call
        finally:
            call(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def running(base, **options):
    """A server of a base folder, in a thread of its own."""
    server = make_server(base, **{"poll_seconds": 0.05} | options)
    with started(server) as call:
        call(server.manager.ready.wait())
        yield server


def contexts(rows=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, 2, 8, 8, 1), np.uint8)


def request(frames=None, seeds=None, signature="", name="tfvrnn"):
    frames = contexts() if frames is None else frames
    seeds = np.arange(len(frames), dtype=np.int32) if seeds is None else seeds
    made = predict_pb2.PredictRequest()
    made.model_spec.name = name
    made.model_spec.signature_name = signature
    made.inputs["frames"].CopyFrom(tf.make_tensor_proto(frames))
    if signature != "mean":
        made.inputs["seed"].CopyFrom(tf.make_tensor_proto(seeds))
    return made


def frames_of(response):
    return tf.make_ndarray(response.outputs["frames"])


def refusal(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert "\n" not in caught.value.details()
    return caught.value.code().name, caught.value.details()


def rest(server, path="/v1/models/tfvrnn:predict", body=None, text=None):
    """Return (status, body) of a GET, or of a POST if a body is given."""
    data = text if text is not None else None if body is None else json.dumps(body).encode()
    url = f"http://127.0.0.1:{server.rest_port}{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def get(server, path, data=None):
    """(body, headers) of a GET, or of a POST where there are data."""
    url = f"http://127.0.0.1:{server.rest_port}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as answer:
        return answer.read(), answer.headers


def near(a, b):
    return a.shape == b.shape and np.abs(a.astype(int) - b.astype(int)).max() <= 1
