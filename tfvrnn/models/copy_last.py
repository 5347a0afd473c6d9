"""The floor of every table: the last context frame, repeated."""

from typing import Any, NamedTuple

import keras
from keras import ops

from tfvrnn.models.reconstruction import reconstruction_loss
from tfvrnn.models.video_predictor import VideoPredictor


class CopyLastState(NamedTuple):
    """frame: the last context frame `[B, H, W, C]`."""

    frame: Any


@keras.saving.register_keras_serializable(package="tfvrnn")
class CopyLast(VideoPredictor):
    """Repeats the last context frame. Has no weights and nothing to learn.

    Args:
        image_shape: (H, W, C).
        context_frames: int, n_ctx.
        reconstruction: 'l1', 'l2', 'bce', 'laplace' or 'gaussian'.
    """

    def __init__(self, image_shape, context_frames, reconstruction="l1", **kwargs):
        super().__init__(**kwargs)
        self.image_shape = tuple(image_shape)
        self.context_frames = context_frames
        self.reconstruction = reconstruction
        self.build()

    def build(self, input_shape=None):
        self.built = True

    def noise_shapes(self, batch, steps):
        return []

    def training_terms(self, frames, noise, training=False):
        future = ops.cast(frames[:, self.context_frames :], "float32")
        last = ops.cast(frames[:, self.context_frames - 1 : self.context_frames], "float32")
        predictions = ops.broadcast_to(last, ops.shape(future))
        return {"reconstruction": self.reconstruction_term(future, predictions)}, predictions

    def reconstruction_term(self, frames, predictions):
        return reconstruction_loss(self.reconstruction, frames, predictions)

    def latent_kl(self, frames, noise):
        return {}

    def begin(self, context, noise=None):
        return CopyLastState(ops.cast(context[:, -1], "float32"))

    def draw(self, state, noise, mean=False):
        return state, []

    def render(self, state, latents):
        return state, state.frame

    def observe(self, state, frame):
        return state

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "context_frames": self.context_frames,
            "reconstruction": self.reconstruction,
        }
