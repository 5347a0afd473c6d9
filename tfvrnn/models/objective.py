"""The objective: the loss that training minimises, from a model's terms."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfvrnn.tensor_ops import Tensor


def loss_terms(terms: dict[str, Any], beta: float, free_nats: float = 0.0) -> dict[str, Any]:
    """Compute the loss, reconstruction + beta * KL, and its parts, as means over the batch.

    Args:
        terms: as `VideoPredictor.training_terms` returns them.
        beta: weight of the KL.
        free_nats: nats per video of each level's KL that cost nothing: the loss takes
            max(KL, free_nats). After Kingma et al., "Improved Variational Inference with Inverse
            Autoregressive Flow", 2016, section C.8. There, the maximum is of means over a batch,
            which depend on how a batch is divided.

    Returns:
        dict of float32 scalars in nats per video: loss, negative_elbo, reconstruction, kl and
        kl_<resolution>.
    """
    reconstruction = ops.mean(terms["reconstruction"])
    levels = {name: term for name, term in terms.items() if name != "reconstruction"}
    means = {name: ops.mean(term) for name, term in levels.items()}
    kl = sum(means.values()) if means else ops.zeros((), "float32")
    counted = kl  # rounding may leave a KL just below 0
    if free_nats:
        counted = sum(ops.mean(ops.maximum(term, free_nats)) for term in levels.values())
    return {
        "loss": reconstruction + beta * counted,
        "negative_elbo": reconstruction + kl,
        "reconstruction": reconstruction,
        "kl": kl,
        **means,
    }


def partly_own_frames(
    model: Any, frames: Tensor, own: Tensor, noise: Sequence[Tensor], passes: int = 1
) -> Tensor:
    """Put the model's own predictions in the place of some frames: scheduled sampling.

    A pass predicts all frames at once, with the posterior's latents and without a gradient. The
    first pass sees the true frames, every later one those that the pass before it has put together.
    So n passes have the errors of up to n frames, and cost n forward passes instead of a rollout.

    Source: Bengio et al., "Scheduled Sampling for Sequence Prediction with Recurrent Neural
    Networks", 2015; in parallel as in Duckworth et al., "Parallel Scheduled Sampling", 2019.
    Deviation: all passes share one draw of `own`.

    Args:
        model: a `VRNN`.
        frames: float32 `[B, T, H, W, C]` in [0, 1].
        own: bool `[B, T - n_ctx]`, whether the model sees its own prediction of a frame.
        noise: see `VideoPredictor.training_terms`.
        passes: number of passes, at least 1.

    Returns:
        float32 `[B, T, H, W, C]`. The given frames stay true.
    """
    context, future = ops.split(frames, [model.context_frames], axis=1)
    seen = None
    for _ in range(passes):
        predictions = ops.stop_gradient(model.training_terms(frames, noise, seen=seen)[1])
        chosen = ops.where(own[:, :, None, None, None], predictions, future)
        seen = ops.concatenate([context, chosen], axis=1)
    return seen
