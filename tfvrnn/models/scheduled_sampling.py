"""Scheduled sampling: a model sees some of its own predictions in training."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfvrnn.tensor_ops import Tensor


def scheduled_options(
    model: Any, frames: Tensor, own: Tensor, noise: Sequence[Tensor], mode: str
) -> dict[str, Tensor]:
    """Return the arguments of `VRNN.training_terms` for scheduled sampling.

    Source: Bengio et al., "Scheduled Sampling for Sequence Prediction with Recurrent Neural
    Networks", 2015. There, no gradient passes through a prediction, which is a discrete token.

    Args:
        model: a `VRNN`.
        frames: float32 `[B, T, H, W, C]` in [0, 1].
        own: bool `[B, T - n_ctx]`, whether the model sees its own prediction of a frame.
        noise: see `VideoPredictor.training_terms`.
        mode: 'parallel', see `partly_own_frames`, or 'sequential', one after another, with the
            gradient through predictions.
    """
    if mode == "sequential":
        return {"own": own}
    return {"seen": partly_own_frames(model, frames, own, noise)}


def partly_own_frames(model: Any, frames: Tensor, own: Tensor, noise: Sequence[Tensor]) -> Tensor:
    """Put the model's own predictions in the place of some frames, from one pass over all frames.

    The pass sees the true frames and uses the posterior's latents. No gradient flows through it.
    So each prediction has the error of one frame only.

    Source: Duckworth et al., "Parallel Scheduled Sampling", 2019, with one pass.

    Args:
        model, frames, own, noise: see `scheduled_options`.

    Returns:
        float32 `[B, T, H, W, C]`. The given frames stay true.
    """
    context, future = ops.split(frames, [model.context_frames], axis=1)
    predictions = ops.stop_gradient(model.training_terms(frames, noise)[1])
    chosen = ops.where(own[:, :, None, None, None], predictions, future)
    return ops.concatenate([context, chosen], axis=1)
