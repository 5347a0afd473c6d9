"""Serve a model from memory, without an export: each request chooses horizon and temperature."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfvrnn import config_flags, media, presets
from tfvrnn.config import Config
from tfvrnn.models import VideoPredictor
from tfvrnn.runs import RunFolder, load_run
from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.servable import SAMPLES, AnyServable

LONGEST = 100  # frames of a future


class InMemory(AnyServable):
    """A model whose signature `samples` also takes a horizon and a temperature.

    It takes one row at a time, because the futures of a batch have one horizon.

    Args:
        model: any `VideoPredictor`.
        samples: futures of a context; future s has the seed `seed` + s.
        config: options of the model's run, if it has one.
    """

    def __init__(self, model: VideoPredictor, samples: int, config: Config | None = None):
        self.model, self.samples = model, samples
        self.version, self.batch_sizes = 1, [1]
        self.card: dict[str, Any] = {"horizon": model.horizon, "temperature": 1.0}
        if config:
            self.card["configuration"] = config_flags.values(config)
        frames = (model.context_frames, *model.image_shape)
        self.signature_defs = {
            SAMPLES: meta_graph_pb2.SignatureDef(
                method_name="tensorflow/serving/predict",
                inputs={
                    "frames": _described("frames", tf.uint8, *frames),
                    "seed": _described("seed", tf.int32),
                    "horizon": _described("horizon", tf.int32),
                    "temperature": _described("temperature", tf.float32),
                },
                outputs={
                    "frames": _described("frames", tf.uint8, samples, None, *model.image_shape)
                },
            )
        }

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        horizon, temperature = int(inputs["horizon"][0]), float(inputs["temperature"][0])
        if not 1 <= horizon <= LONGEST:
            reason = f"`horizon` must lie in 1 to {LONGEST}. Received: {horizon}"
            raise Refusal(Code.INVALID_ARGUMENT, reason)
        seeds = inputs["seed"].astype(np.int64)[:, None] + np.arange(self.samples)
        try:
            videos = self.model.generate(inputs["frames"], horizon, seeds, temperature=temperature)
        except ValueError as error:
            raise Refusal(Code.INVALID_ARGUMENT, str(error)) from None
        return {"frames": media.to_uint8(np.asarray(videos))}

    def warm_up(self) -> None:
        """Answer one request, so that no later one waits for tracing."""
        frames = np.zeros((1, self.model.context_frames, *self.model.image_shape), np.uint8)
        one = np.ones(1, np.int32)
        self.run(SAMPLES, {"frames": frames, "seed": one, "horizon": one, "temperature": one})


def _described(name: str, dtype: tf.DType, *sides: int | None) -> meta_graph_pb2.TensorInfo:
    """Describe an input or output with the batch in dimension 0."""
    shape = tf.TensorShape([None, *sides]).as_proto()
    return meta_graph_pb2.TensorInfo(
        name=f"{name}:0", dtype=dtype.as_datatype_enum, tensor_shape=shape
    )


def load(folder: Path, samples: int) -> InMemory:
    """Load the model of a run, or of a preset.

    Raises:
        UserError: see `load_run` and `VideoPredictor.from_preset`.
    """
    if RunFolder(folder).exists():
        config, model, _ = load_run(folder)
    else:
        config, model = None, VideoPredictor.from_preset(folder)
    servable = InMemory(model, samples, config)
    servable.clips = presets.read_clips(folder)
    return servable
