"""Fréchet and kernel distances between sets of videos, on I3D features."""

import contextlib
import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tfvrnn import files
from tfvrnn.metrics import frechet, weights
from tfvrnn.metrics.i3d import FeatureNetwork, check_videos

_NETWORKS: dict[tuple, FeatureNetwork] = {}


def feature_network(source: str = "i3d", cache_dir: str | Path | None = None) -> FeatureNetwork:
    """Return the `FeatureNetwork` of a source, made once per source.

    Raises:
        WeightsUnavailable: its weights cannot be obtained.
    """
    key = (source, str(weights.cache_folder(cache_dir)))
    if key not in _NETWORKS:
        _NETWORKS[key] = FeatureNetwork(source, cache_dir)
    return _NETWORKS[key]


def frechet_video_distance(
    real: ArrayLike, generated: ArrayLike, network: FeatureNetwork | None = None
) -> float:
    """Compute the FVD of a set of generated videos against real ones.

    FVDs are comparable only at equal number of videos, clip length and network. With few videos,
    FVD is biased upwards.

    Source: Unterthiner et al., "Towards Accurate Generative Models of Video", 2018; deviations:
    none. Weights: deepmind/i3d-kinetics-400/1.

    Args:
        real: uint8 `[N, T, H, W, 1 or 3]`, T at least 9; grey is repeated to 3 channels.
        generated: uint8 `[M, T, H, W, 1 or 3]`.
        network: None: I3D.

    Raises:
        ValueError: other shapes or dtypes, clips of different lengths, fewer than two videos.
        WeightsUnavailable: the network's weights cannot be obtained.
    """
    return frechet.frechet_distance(*_features(real, generated, network))


def kernel_video_distance(
    real: ArrayLike, generated: ArrayLike, network: FeatureNetwork | None = None
) -> float:
    """Compute the KVD, the unbiased squared MMD with a polynomial kernel on the FVD's features.

    Source: same as `frechet_video_distance`.

    Args:
        real, generated, network: same as for `frechet_video_distance`.

    Raises:
        ValueError, WeightsUnavailable: same as `frechet_video_distance`.
    """
    return frechet.kernel_distance(*_features(real, generated, network))


def _features(real, generated, network):
    real, generated = np.asarray(real), np.asarray(generated)
    for name, videos in (("real", real), ("generated", generated)):
        check_videos(videos, name)
        if len(videos) < 2:
            raise ValueError(f"`{name}` must hold at least 2 videos. Received: {len(videos)}")
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"`real` and `generated` must be of one length. "
            f"Received: {real.shape[1]} and {generated.shape[1]} frames"
        )
    network = network or feature_network()
    return cached_features(network, real), network(generated)


def cached_features(
    network: FeatureNetwork, videos: ArrayLike, cache_dir: str | Path | None = None
) -> np.ndarray:
    """Return the features of videos, from the cache if they are there.

    Args:
        network: computes what the cache lacks.
        videos: uint8 `[N, T, H, W, 1 or 3]`.
        cache_dir: None: the user's cache.

    Returns:
        float32 `[N, D]`.

    Raises:
        ValueError: see `FeatureNetwork`.
    """
    videos = np.ascontiguousarray(videos)
    key = hashlib.sha256(f"{network.digest} {videos.shape}".encode())
    key.update(videos.data)
    kept = weights.cache_folder(cache_dir) / "features" / f"{key.hexdigest()}.npy"
    try:
        return np.load(kept, allow_pickle=False)
    except (OSError, *files.DAMAGED_ARRAYS):
        features = network(videos)
    _keep(features, kept)
    return features


def _keep(features: np.ndarray, path: Path) -> None:
    """Write features to the cache, whole or not at all.

    A cache that cannot be written is not an error.
    """
    content = io.BytesIO()
    np.save(content, features)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, content.getvalue())
