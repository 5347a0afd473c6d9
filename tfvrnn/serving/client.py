"""A gRPC client of a served sampler: this package's server or TensorFlow Serving."""

import ipaddress
import json
import os
import urllib.request
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

SIGNATURES = "signature_def"
# Retry while the server starts or is full, after about 0.2, 0.4, 0.8 and 1.6 seconds.
RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "tensorflow.serving.PredictionService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


# Longest pause between connection attempts, in milliseconds. gRPC's default grows to two minutes.
LONGEST_PAUSE = 2000
YEAR = 365 * 86_400.0  # seconds; gRPC's clock overflows beyond it


class Client:
    """A gRPC client that requests futures.

    Messages may have any size. A call that fails as UNAVAILABLE is retried a few times.

    Args:
        target: 'HOST:PORT' of the gRPC server. The environment's proxy is used, but not
            for this machine and the hosts in `no_proxy`.
        name: name of the served model.
        timeout: seconds per call, retries included. Values above a year count as a year.
    """

    def __init__(self, target: str, name: str = "tfvrnn", timeout: float = 60.0):
        self.name = name
        self.timeout = min(timeout, YEAR)
        self._channel = grpc.insecure_channel(
            target,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.service_config", json.dumps(RETRIES)),
                # Messages are kept for a retry. The default limit is 256 kB.
                ("grpc.per_rpc_retry_buffer_size", 2**30),
                ("grpc.max_reconnect_backoff_ms", LONGEST_PAUSE),
                ("grpc.enable_http_proxy", int(by_proxy(target))),
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self._channel.close()

    def predict(
        self, inputs: dict[str, np.ndarray], signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        """Call a signature and return {output: array}.

        Raises:
            grpc.RpcError: with the code and details of the refusal.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        request.model_spec.signature_name = signature
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        response = self._stub.Predict(request, timeout=self.timeout)
        return {key: tf.make_ndarray(value) for key, value in response.outputs.items()}

    def sample(self, frames: np.ndarray, seeds: ArrayLike) -> np.ndarray:
        """Draw futures uint8 `[B, horizon, H, W, C]` of contexts uint8 `[B, n_ctx, H, W, C]`.

        Raises:
            ValueError: seeds that are not 32-bit integers.
            grpc.RpcError: with the code and details of the refusal.
        """
        given = np.asarray(seeds)
        if given.dtype.kind not in "iu" or not np.array_equal(given, given.astype(np.int32)):
            raise ValueError(f"`seeds` must be integers of 32 bits. Received: {seeds}")
        return self.predict({"frames": frames, "seed": given.astype(np.int32)})["frames"]

    def signatures(self) -> dict[str, Any]:
        """Request {name: SignatureDef} of the served version.

        Raises:
            grpc.RpcError: with the code and details of the refusal.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURES])
        request.model_spec.name = self.name
        response = self._stub.GetModelMetadata(request, timeout=self.timeout)
        found = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURES].Unpack(found)
        return dict(found.signature_def)


def by_proxy(target: str) -> bool:
    """Return whether a server is reached through the environment's proxy.

    This machine and the hosts in NO_PROXY or no_proxy are reached directly. gRPC itself reads only
    no_proxy.
    """
    if not any(os.environ.get(f"{kind}_proxy") for kind in ("grpc", "https", "http")):
        return False
    host = target.rpartition(":")[0].strip("[]").lower()
    # The type stubs of the standard library lack it.
    bypassed = urllib.request.proxy_bypass_environment  # pyright: ignore[reportAttributeAccessIssue]
    return not _is_local(host) and not bypassed(host)


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
