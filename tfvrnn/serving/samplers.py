"""One interface to the samplers of runs, exports and servers."""

import math
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfvrnn import files, media
from tfvrnn.config import UserError, expanded
from tfvrnn.runs import load_run
from tfvrnn.sampling import sample_videos
from tfvrnn.serving.client import Client, by_proxy
from tfvrnn.serving.servable import DEFAULT_SIGNATURE, read_signature_defs
from tfvrnn.serving.versions import existing_versions, version_folders

ROWS_IN_FLIGHT = 8
# Seconds: the first and the longest pause between tries, and the pause between messages.
FIRST_PAUSE, LAST_PAUSE, SILENCE = 0.1, 2.0, 10.0
NO_ANSWER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass
class Sampler:
    """Draws futures.

    Attributes:
        context_shape: (n_ctx, H, W, C).
        horizon: frames per future.
        sample: (contexts uint8 `[B, n_ctx, H, W, C]`, seeds int32 `[B]`) -> futures uint8
            `[B, horizon, H, W, C]`. That of a run uses only the first context.
    """

    context_shape: tuple[int, int, int, int]
    horizon: int
    sample: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def check_horizon(self, horizon: int | None) -> None:
        """Raise UserError unless `horizon` is None or the number of frames predicted."""
        if horizon not in (None, self.horizon):
            rule = f"`horizon` must be {self.horizon}, that of the export."
            raise UserError(f"{rule} Received: {horizon}")


def of_run(run_dir: str | Path, horizon: int | None, temperature: float = 1.0) -> Sampler:
    """Load the sampler of a run. All contexts of a call must be equal.

    Args:
        run_dir: run folder, or a folder that `keep_weights` wrote.
        horizon: frames per future; None: as in training.
        temperature: standard deviation of the prior's noise.

    Raises:
        UserError: see `load_run`.
    """
    config, model, _ = load_run(run_dir)
    horizon = horizon or config.data.horizon

    def sample(contexts, seeds):
        # All contexts are the same, so only the first is encoded.
        videos = sample_videos(model, contexts[:1], horizon, seeds[None], temperature=temperature)
        return media.to_uint8(videos[0].numpy())

    return Sampler((model.context_frames, *model.image_shape), horizon, sample)


def of_export(base: str | Path) -> Sampler:
    """Load the sampler of an export's newest version.

    Args:
        base: folder that holds the numbered versions.

    Raises:
        UserError: no version there, or it holds no sampler.
    """
    base = expanded(base)
    folder = version_folders(base)[existing_versions(base)[-1]]
    try:
        shapes = _shapes(read_signature_defs(folder))
        with files.for_tensorflow(folder) as name:
            signature = tf.saved_model.load(name).signatures[DEFAULT_SIGNATURE]
    except (OSError, KeyError, ValueError, DecodeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder} holds no sampler: {reason}") from None

    def sample(contexts, seeds):
        outputs = signature(frames=tf.constant(contexts), seed=tf.constant(seeds))
        return outputs["frames"].numpy()

    return Sampler(*shapes, sample)


def of_server(server: str, name: str, timeout: float) -> Sampler:
    """Connect to the sampler that a server serves.

    Args:
        server: HOST:PORT of gRPC.
        name: name of the served model.
        timeout: seconds to wait for a server that is still starting, and for each answer.

    Raises:
        UserError: no answer, a refusal, or it serves no sampler.
    """
    _check_host(server)
    client = Client(server, name, timeout)
    asked = _refusals_of(client.sample, server)

    def sample(contexts, seeds):
        # One row per request, so that no batch is larger than the server allows. A few requests at
        # a time, so that the server can batch them.
        def row(k):
            return asked(contexts[k : k + 1], seeds[k : k + 1])

        with ThreadPoolExecutor(ROWS_IN_FLIGHT) as pool:
            return np.concatenate(list(pool.map(row, range(len(seeds)))))

    definitions = _refusals_of(lambda: _when_ready(client, server, timeout), server)()
    try:
        return Sampler(*_shapes(definitions), sample)
    except ValueError as error:
        raise UserError(f"{server} serves no sampler: {error}") from None


def _when_ready(client: Client, server: str, timeout: float):
    """Request the signatures, and try again while the server is still starting."""
    until, told, pause = time.monotonic() + timeout, -math.inf, FIRST_PAUSE
    while True:
        try:
            return client.signatures()
        except grpc.RpcError as error:
            now = time.monotonic()
            if error.code() != grpc.StatusCode.UNAVAILABLE or now >= until:
                raise
        if now - told >= SILENCE:
            print(f"waiting for {server}", file=sys.stderr)
            told = now
        time.sleep(min(pause, until - now))
        pause = min(2 * pause, LAST_PAUSE)


def _check_host(server: str) -> None:
    """Raise UserError at once if a host does not exist; a proxy looks it up itself."""
    host, _, port = server.rpartition(":")
    if by_proxy(server):
        return
    try:
        socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a part of the name is too long
        reason = getattr(error, "strerror", None) or "not a host name"
        raise UserError(f"no host {host}: {reason}") from None


def _refusals_of(call: Callable, server: str) -> Callable:
    """Wrap a call so that the server's refusals are raised as UserError."""

    def asked(*arguments):
        try:
            return call(*arguments)
        except grpc.RpcError as error:
            reason = f"{error.code().name}: {error.details()}"
            late = "does not answer gRPC in time (see --timeout)"
            verdict = late if error.code() in NO_ANSWER else "refuses"
            raise UserError(f"{server} {verdict}: {reason}") from None

    return asked


def _shapes(definitions) -> tuple[tuple[int, int, int, int], int]:
    """Read (context shape, horizon) from a sampler's signatures.

    Raises:
        ValueError: the signatures are not a sampler's.
    """
    if DEFAULT_SIGNATURE not in definitions:
        raise ValueError(f"it has no signature {DEFAULT_SIGNATURE}")
    signature = definitions[DEFAULT_SIGNATURE]
    names = (sorted(signature.inputs), sorted(signature.outputs))
    if names != (["frames", "seed"], ["frames"]):
        raise ValueError(f"its inputs and outputs are {names[0]} and {names[1]}")
    context = signature.inputs["frames"].tensor_shape.dim
    future = signature.outputs["frames"].tensor_shape.dim
    if (len(context), len(future)) != (5, 5):
        raise ValueError("its frames are not videos")
    frames, height, width, channels = (dim.size for dim in context[1:])
    return (frames, height, width, channels), future[1].size
