"""Validation during training: the ELBO on held-out videos, latents in use, pictures."""

import contextlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfvrnn import media, sampling
from tfvrnn.config import Config
from tfvrnn.data import make_dataset, read
from tfvrnn.models import ACTIVE_NATS, VideoPredictor
from tfvrnn.models.objective import loss_terms
from tfvrnn.tensor_ops import to_float
from tfvrnn.training.optimizer import MovingAverages
from tfvrnn.training.step import per_unit

# Validation draws the same noise every time, from seeds far from those of training steps.
FIRST_STEP = 2**62
PICTURED_SAMPLES = 3


class Findings(NamedTuple):
    """The findings of a validation.

    Attributes:
        scalars: by name:
            - negative_elbo, reconstruction, kl, kl_<resolution>: the terms of `loss_terms`, means
              over the videos
            - the values of `per_unit`
            - copy_last: the reconstruction term of copying the last context frame, scaled to the
              number of frames that the terms count
            - active_channels_<resolution>: latent channels in use in the first batch
        videos: {name: uint8 `[pictures, T, H, W, C]`}, context first.
    """

    scalars: dict[str, float]
    videos: dict[str, np.ndarray]


class Validation:
    """Validates a model, with its moving averages if there are any.

    Args:
        model: built.
        config: of the run.
        averages: of the model's weights, or None.
    """

    def __init__(
        self, model: VideoPredictor, config: Config, averages: MovingAverages | None = None
    ):
        self.model = model
        self.config = config
        self.averages = averages
        videos = make_dataset(config.data, config.model, "validation").unbatch()
        self._batches = videos.take(config.train.validation_videos).batch(config.data.batch_size)
        self._terms = tf.function(self._compute_terms, autograph=False, reduce_retracing=True)
        self._nats = tf.function(self._channel_nats, autograph=False)

    def __call__(self) -> Findings:
        weights = self.averages.swapped_in() if self.averages else contextlib.nullcontext()
        with weights:
            return self._validate()

    def _validate(self):
        config = self.config
        sums, seen, pictured = {}, 0, []
        for number, frames in enumerate(read(self._batches, config.data, config.model)):
            terms, predictions = self._terms(frames, tf.constant(number, tf.int64))
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(frames)
            seen += len(frames)
            pictured = pictured or [frames, predictions]
        scalars = {name: value / seen for name, value in sums.items()}
        scalars |= per_unit(scalars, self.model, config.data.horizon)
        scalars |= self._active_channels(pictured[0])
        return Findings(scalars, self._videos(*pictured))

    def _compute_terms(self, frames, number):
        """Compute (terms, predictions) of uint8 videos at beta 1."""
        model, future = self.model, to_float(frames[:, self.model.context_frames :])
        terms, predictions = model.training_terms(to_float(frames), self._noise(frames, number))
        last = to_float(frames[:, model.context_frames - 1 : model.context_frames])
        copied = model.reconstruction_term(future, tf.broadcast_to(last, tf.shape(future)))
        terms = loss_terms(terms, beta=1.0)
        counted = model.counted_frames(self.config.data.horizon)
        # SVG's own terms count context frames, which copying does not predict.
        share = counted / min(counted, self.config.data.horizon)
        terms["copy_last"] = share * tf.reduce_mean(copied)
        del terms["loss"]
        return terms, predictions

    def _noise(self, frames, number):
        horizon, seed = self.config.data.horizon, self.config.train.seed
        places = tf.range(tf.shape(frames)[0])
        return sampling.training_noise(self.model, places, horizon, seed, FIRST_STEP + number)

    def _active_channels(self, frames):
        """Count {active_channels_<resolution>: latent channels in use} on one batch."""
        return {
            f"active_channels_{resolution}": float(np.sum(nats.numpy().mean(axis=0) > ACTIVE_NATS))
            for resolution, nats in self._nats(frames).items()
        }

    def _channel_nats(self, frames):
        return self.model.channel_nats(to_float(frames), self._noise(frames, 0))

    def _videos(self, frames, predictions):
        """Make the truth, reconstruction, mean and sampled futures of the same contexts."""
        pictures = min(self.config.train.pictures, len(frames))
        frames = frames[:pictures]
        if not pictures:
            return {}
        context = to_float(frames[:, : self.model.context_frames])
        horizon = self.config.data.horizon
        seeds = np.arange(pictures * PICTURED_SAMPLES).reshape(pictures, PICTURED_SAMPLES)
        samples = sampling.sample_videos(self.model, context, horizon, seeds)
        futures = {
            "posterior": predictions[:pictures],
            "mean": sampling.sample_videos(self.model, context, horizon, mean=True),
            **{f"sample {k + 1}": samples[:, k] for k in range(PICTURED_SAMPLES)},
        }
        joined = {n: media.to_uint8(tf.concat([context, f], 1)) for n, f in futures.items()}
        return {"truth": frames.numpy(), **joined}
