"""The objective: the loss that training minimises, from a model's terms."""

from typing import Any

from keras import ops


def loss_terms(
    terms: dict[str, Any], beta: float, free_nats: float = 0.0, fine_beta: float = 1.0
) -> dict[str, Any]:
    """Compute the loss, reconstruction + beta * KL, and its parts, as means over the batch.

    Args:
        terms: as `VideoPredictor.training_terms` returns them.
        beta: weight of the KL.
        free_nats: nats per video of each level's KL that cost nothing: the loss takes
            max(KL, free_nats). After Kingma et al., "Improved Variational Inference with Inverse
            Autoregressive Flow", 2016, section C.8. There, the maximum is of means over a batch,
            which depend on how a batch is divided.
        fine_beta: factor of beta for all levels but the coarsest. Other values than 1 need levels
            that are named by their resolution.

    Returns:
        dict of float32 scalars per video, in the unit of the terms: loss, negative_elbo,
        reconstruction, kl and kl_<resolution>.
    """
    reconstruction = ops.mean(terms["reconstruction"])
    levels = {name: term for name, term in terms.items() if name != "reconstruction"}
    means = {name: ops.mean(term) for name, term in levels.items()}
    kl = sum(means.values()) if means else ops.zeros((), "float32")
    counted = dict(means)  # rounding may leave a KL just below 0
    if free_nats:
        counted = {name: ops.mean(ops.maximum(term, free_nats)) for name, term in levels.items()}
    if fine_beta != 1.0:
        finer = sorted(levels, key=lambda name: int(name.removeprefix("kl_")))[1:]
        counted |= {name: fine_beta * counted[name] for name in finer}
    return {
        "loss": reconstruction + beta * sum(counted.values()),
        "negative_elbo": reconstruction + kl,
        "reconstruction": reconstruction,
        "kl": kl,
        **means,
    }
