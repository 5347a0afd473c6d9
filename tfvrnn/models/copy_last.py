"""The simplest baseline: the last context frame, repeated."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfvrnn.config import require
from tfvrnn.models.checks import check_frames
from tfvrnn.models.reconstruction import ERRORS, reconstruction_loss
from tfvrnn.models.video_predictor import VideoPredictor
from tfvrnn.tensor_ops import Shape, Tensor


class CopyLastState(NamedTuple):
    """The state of a rollout: `frame`, the last context frame `[B, H, W, C]`."""

    frame: Any


@keras.saving.register_keras_serializable(package="tfvrnn")
class CopyLast(VideoPredictor):
    """Repeats the last context frame. It has no weights and learns nothing.

    Args:
        image_shape: (H, W, C).
        context_frames: int, n_ctx.
        reconstruction: 'l1', 'l2', 'bce', 'laplace' or 'gaussian'.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        context_frames: int,
        reconstruction: str = "l1",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_frames(image_shape, context_frames, square=False)
        rule = f"`reconstruction` must be one of {', '.join(ERRORS)}."
        require(reconstruction in ERRORS, rule, repr(reconstruction))
        self.image_shape = (*image_shape,)
        self.context_frames = context_frames
        self.reconstruction = reconstruction
        self.build()

    def build(self, input_shape: Shape | None = None) -> None:
        self.built = True

    def noise_shapes(self, batch: int | Tensor, steps: int) -> list[tuple[int, ...]]:
        return []

    def training_terms(
        self, frames: Tensor, noise: Sequence[Tensor], training: bool = False
    ) -> tuple[dict[str, Tensor], Tensor]:
        future = ops.cast(frames[:, self.context_frames :], "float32")
        last = ops.cast(frames[:, self.context_frames - 1 : self.context_frames], "float32")
        predictions = ops.broadcast_to(last, ops.shape(future))
        return {"reconstruction": self.reconstruction_term(future, predictions)}, predictions

    def reconstruction_term(self, frames: Tensor, predictions: Tensor) -> Tensor:
        return reconstruction_loss(self.reconstruction, frames, predictions)

    def latent_kl(self, frames: Tensor, noise: Sequence[Tensor]) -> dict[int, Tensor]:
        return {}

    def begin(self, context: Tensor, noise: Sequence[Tensor] | None = None) -> CopyLastState:
        return CopyLastState(ops.cast(context[:, -1], "float32"))

    def draw(
        self, state: CopyLastState, noise: Any, mean: bool = False
    ) -> tuple[CopyLastState, list[Tensor]]:
        return state, []

    def render(
        self, state: CopyLastState, latents: Sequence[Tensor]
    ) -> tuple[CopyLastState, Tensor]:
        return state, state.frame

    def observe(self, state: CopyLastState, frame: Tensor) -> CopyLastState:
        return state

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "context_frames": self.context_frames,
            "reconstruction": self.reconstruction,
        }
