"""Reconstruction terms of predicted frames."""

from keras import ops

RECONSTRUCTIONS = {
    "l1": lambda x, mean: ops.abs(x - mean),
    "l2": lambda x, mean: ops.square(x - mean),
    "bce": lambda x, mean: -x * ops.log(mean) - (1.0 - x) * ops.log(1.0 - mean),
}


def reconstruction_loss(kind: str, frames, predictions):
    """Summed over time, pixels and channels: float32 `[B]`.

    Args:
        kind: 'l1', 'l2' or 'bce'.
        frames, predictions: float32 `[B, T, H, W, C]` in [0, 1].
    """
    if kind == "bce":
        # Half a grey level away from 0 and 1, where the cross-entropy is infinite.
        predictions = ops.clip(predictions, 0.5 / 255, 1 - 0.5 / 255)
    return ops.sum(RECONSTRUCTIONS[kind](frames, predictions), axis=(1, 2, 3, 4))
