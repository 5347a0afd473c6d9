"""Best, mean and worst of several futures of each video."""

import numpy as np

LOWER_IS_BETTER = ("lpips",)  # among the measures of single frames


def chosen_samples(values_VST: np.ndarray, lower_is_better: bool) -> dict[str, np.ndarray]:
    """Return {'best', 'mean', 'worst': `[V, T]`} of a measure `[V, S, T]`.

    The measure is of S futures of each of V videos. Best and worst are chosen by their mean over
    time.
    """
    order = values_VST.mean(axis=2).argsort(axis=1)
    first, last = order[:, 0], order[:, -1]
    best, worst = (first, last) if lower_is_better else (last, first)
    videos = np.arange(len(order))
    return {
        "best": values_VST[videos, best],
        "mean": values_VST.mean(axis=1),
        "worst": values_VST[videos, worst],
    }
