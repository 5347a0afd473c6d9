"""Comparison of samples with the truth, per pixel: ranks, coverage, spread against error."""

import numpy as np

BINS = 10  # bins of a histogram with more ranks
TINY = 1e-12  # far below the square of a grey level


class Ensemble:
    """Statistics of the samples of each pixel against the truth, from a few samples at a time.

    Args:
        truth: uint8 `[B, T, H, W, C]`.
    """

    def __init__(self, truth: np.ndarray):
        self.truth, self.samples = truth, 0
        self.total, self.squares = np.zeros(truth.shape), np.zeros(truth.shape)
        self.below, self.equal = np.zeros(truth.shape, int), np.zeros(truth.shape, int)

    def add(self, samples: np.ndarray) -> None:
        """Count further samples: uint8 `[B, s, T, H, W, C]`."""
        scaled, truth = samples / 255.0, self.truth[:, None]
        self.samples += samples.shape[1]
        self.total += scaled.sum(axis=1)
        self.squares += np.square(scaled).sum(axis=1)
        self.below += (samples < truth).sum(axis=1)
        self.equal += (samples == truth).sum(axis=1)

    def measured(self) -> dict[str, np.ndarray]:
        """Compute the values per video and frame, with pixels in [0, 1].

        Returns:
            spread `[B, T]`: standard deviation over the samples, mean over pixels. With two samples
            or more also variance (without bias) and squared_error (of the samples' mean)
            `[B, T]`, means over pixels, and ranks `[B, T, samples + 1]`, see `rank_counts`.
        """
        mean, pixels = self.total / self.samples, (2, 3, 4)
        variance = np.maximum(self.squares / self.samples - np.square(mean), 0)
        found = {"spread": np.sqrt(variance).mean(axis=pixels)}
        if self.samples > 1:
            unbiased = variance * (self.samples / (self.samples - 1))
            found["variance"] = unbiased.mean(axis=pixels)
            found["squared_error"] = np.square(self.truth / 255.0 - mean).mean(axis=pixels)
            found["ranks"] = rank_counts(self.below, self.equal, self.samples)
        return found


def rank_counts(below: np.ndarray, equal: np.ndarray, samples: int) -> np.ndarray:
    """Count the ranks of the truth among the samples.

    The truth's rank is the number of samples below it. Samples that equal it could stand on either
    side, so the pixel is divided equally over the possible ranks. A pixel where truth and all
    samples are equal has no information and is left out. If the truth is drawn as the samples are,
    all ranks are equally likely, also where values are equal.

    Source: Talagrand, Vautard and Strauss, "Evaluation of probabilistic prediction systems", 1997;
    Hamill, "Interpretation of Rank Histograms for Verifying Ensemble Forecasts", 2001; for the
    division, Czado, Gneiting and Held, "Predictive Model Assessment for Count Data", 2009.

    Args:
        below, equal: int `[B, T, ...]`, numbers of samples below the truth, and equal to it.
        samples: their number.

    Returns:
        float32 `[B, T, samples + 1]`, numbers of pixels.
    """
    groups, ranks = below.shape[:2], samples + 2
    below, equal = (x.reshape(np.prod(groups), -1) for x in (below, equal))
    weights = (equal < samples) / (equal + 1.0)
    rows = ranks * np.arange(len(below))[:, None]
    size = ranks * len(below)
    begins, ends = (
        np.bincount((rows + place).ravel(), weights.ravel(), size)
        for place in (below, below + equal + 1)
    )
    counts = np.cumsum((begins - ends).reshape(-1, ranks), axis=1)[:, :-1]
    return np.maximum(counts, 0).reshape(*groups, samples + 1).astype(np.float32)


def rank_histogram(counts: np.ndarray) -> np.ndarray:
    """Compute the shares of the ranks, in `BINS` bins if there are more ranks.

    Args:
        counts: `[..., ranks]`, from `rank_counts`.

    Returns:
        float64 `[..., bins]`, whose sum is 1. It is uniform if nothing was counted.
    """
    ranks = counts.shape[-1]
    bins = min(ranks, BINS)
    edges = np.linspace(0, ranks, bins + 1)
    zeros = np.zeros((*counts.shape[:-1], 1))
    reached = np.concatenate([zeros, np.cumsum(counts, axis=-1, dtype=np.float64)], axis=-1)
    low = np.minimum(edges.astype(int), ranks - 1)
    part = edges - low
    at_edges = reached[..., low] * (1 - part) + reached[..., low + 1] * part
    shares, total = np.diff(at_edges, axis=-1), reached[..., -1:]
    return np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / bins)


def unevenness(histogram: np.ndarray) -> np.ndarray:
    """Compute the distance of a histogram of ranks from a uniform one, from 0 to less than 2.

    Source: the reliability index of Delle Monache et al., "Probabilistic aspects of meteorological
    and ozone regional ensemble forecasts", 2006.
    """
    return np.abs(histogram - 1 / histogram.shape[-1]).sum(axis=-1)


def coverage(counts: np.ndarray) -> np.ndarray:
    """Compute the share of pixels whose truth lies within the range of the samples.

    An ideal ensemble has (samples - 1) / (samples + 1). That is also returned if nothing was
    counted.

    Args:
        counts: `[..., ranks]`, from `rank_counts`.
    """
    total = counts.sum(axis=-1, dtype=np.float64)
    within = counts[..., 1:-1].sum(axis=-1, dtype=np.float64)
    ideal = 1 - 2 / counts.shape[-1]
    return np.where(total > 0, within / np.where(total > 0, total, 1), ideal)


def spread_to_error(variance: np.ndarray, squared_error: np.ndarray, samples: int) -> np.ndarray:
    """Divide the samples' spread by the error of their mean: ideally 1, less if too narrow.

    Source: Fortin et al., "Why Should Ensemble Spread Match the RMSE of the Ensemble Mean?", 2014,
    with its factor for a finite number of samples.

    Args:
        variance, squared_error: from `Ensemble.measured`, averaged over the values of one figure.
        samples: their number.
    """
    expected = variance * (samples + 1) / samples
    return np.sqrt((expected + TINY) / (squared_error + TINY))
