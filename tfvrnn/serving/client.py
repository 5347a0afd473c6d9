"""A gRPC client of a served sampler: this package's server or TensorFlow Serving."""

import json
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

SIGNATURES = "signature_def"
# Tried again while the server starts or is full: after 0.2, 0.4, 0.8 and 1.6 seconds or so.
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


class Client:
    """Asks for futures. Messages of any size; UNAVAILABLE is tried again a few times.

    Args:
        target: 'HOST:PORT' of the gRPC server.
        name: name of the served model.
        timeout: seconds for one call, with its repetitions.
    """

    def __init__(self, target: str, name: str = "tfvrnn", timeout: float = 60.0):
        self.name = name
        self.timeout = timeout
        self._channel = grpc.insecure_channel(
            target,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.service_config", json.dumps(RETRIES)),
                # A message is kept to be sent again; by default only up to 256 kB.
                ("grpc.per_rpc_retry_buffer_size", 2**30),
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self._channel.close()

    def predict(self, inputs: dict[str, np.ndarray], signature: str = "serving_default"):
        """{output: array} of a signature.

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

    def sample(self, frames: np.ndarray, seeds) -> np.ndarray:
        """Futures uint8 `[B, horizon, H, W, C]` of contexts uint8 `[B, n_ctx, H, W, C]`.

        Raises:
            grpc.RpcError: with the code and details of the refusal.
        """
        inputs = {"frames": frames, "seed": np.asarray(seeds, np.int32)}
        return self.predict(inputs)["frames"]

    def signatures(self) -> dict[str, Any]:
        """{name: SignatureDef} of the served version.

        Raises:
            grpc.RpcError: with the code and details of the refusal.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURES])
        request.model_spec.name = self.name
        response = self._stub.GetModelMetadata(request, timeout=self.timeout)
        found = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURES].Unpack(found)
        return dict(found.signature_def)
