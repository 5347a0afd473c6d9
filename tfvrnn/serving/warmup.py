"""Warm-up requests of an export: written beside the model, replayed by its server."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from tfvrnn.models import VideoPredictor

# The file that TensorFlow Serving reads, and the most requests that it reads.
FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MOST = 1000


def write(
    version: Path,
    name: str,
    model: VideoPredictor,
    signatures: Sequence[str],
    batch_sizes: Sequence[int],
) -> None:
    """Write one request per signature and allowed batch size into a version's folder."""
    logs = [
        prediction_log_pb2.PredictionLog(
            predict_log=prediction_log_pb2.PredictLog(
                request=_request(name, model, signature, batch)
            )
        )
        for signature in signatures
        for batch in batch_sizes
    ]
    path = version / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(os.fsencode(path)) as writer:
        for log in logs[:MOST]:
            writer.write(log.SerializeToString())


def _request(name, model, signature, batch):
    shape = (batch, model.context_frames, *model.image_shape)
    inputs = {"frames": np.zeros(shape, np.uint8), "seed": np.arange(batch, dtype=np.int32)}
    if signature == "mean":
        del inputs["seed"]
    return predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(name=name, signature_name=signature),
        inputs={key: tf.make_tensor_proto(value) for key, value in inputs.items()},
    )


def read(version: Path) -> Iterator[predict_pb2.PredictRequest]:
    """Yield the requests in a version's folder; none if it has no such file."""
    path = version / FILE
    if not path.is_file():
        return
    records = tf.data.TFRecordDataset(os.fsencode(path)).take(MOST)
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.HasField("predict_log"):
            yield log.predict_log.request
