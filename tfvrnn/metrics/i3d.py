"""The I3D network (RGB, Kinetics-400), whose logits are the features of the FVD."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfvrnn import files
from tfvrnn.config import expanded
from tfvrnn.metrics import weights
from tfvrnn.metrics.packages import WeightsUnavailable, sha256

SIDE = 224
LEAST_FRAMES = 9  # fewer would leave nothing for the average pool over two frames
EPSILON = 1e-3

# Endpoints in order. A convolution has its strides. A max pool has ('pool', window, strides). An
# Inception module has only its name, as its shapes lie in its weights.
POOL = "pool"
LAYERS = {
    "Conv3d_1a_7x7": (2, 2, 2),
    "MaxPool3d_2a_3x3": (POOL, (1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": (1, 1, 1),
    "Conv3d_2c_3x3": (1, 1, 1),
    "MaxPool3d_3a_3x3": (POOL, (1, 3, 3), (1, 2, 2)),
    "Mixed_3b": None,
    "Mixed_3c": None,
    "MaxPool3d_4a_3x3": (POOL, (3, 3, 3), (2, 2, 2)),
    "Mixed_4b": None,
    "Mixed_4c": None,
    "Mixed_4d": None,
    "Mixed_4e": None,
    "Mixed_4f": None,
    "MaxPool3d_5a_2x2": (POOL, (2, 2, 2), (2, 2, 2)),
    "Mixed_5b": None,
    "Mixed_5c": None,
}


def preprocess(videos: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Prepare videos for the network as the FVD's reference does.

    Frames get TensorFlow 1's bilinear resize, then 2 x / 255 - 1. That resize places corners
    differently from TensorFlow 2's, which changes the FVD.

    Source: Unterthiner et al., "Towards Accurate Generative Models of Video", 2018, and its
    code, `frechet_video_distance.preprocess`; deviations: grey videos are repeated to 3 channels.

    Args:
        videos: uint8 or float in [0, 255], `[N, T, H, W, 1 or 3]`.

    Returns:
        float32 `[N, T, 224, 224, 3]` in [-1, 1].
    """
    shape = tf.shape(videos)  # not the static one, which differs between calls of one trace
    frames = tf.cast(tf.reshape(videos, tf.concat([[-1], shape[2:]], 0)), tf.float32)
    # Same as tf.compat.v1.image.resize_bilinear, which is deprecated and warns on each call.
    frames = tf.raw_ops.ResizeBilinear(images=frames, size=(SIDE, SIDE))
    frames = 2.0 * tf.repeat(frames, 3 // shape[-1], axis=-1) / 255.0 - 1.0
    return tf.reshape(frames, (shape[0], shape[1], SIDE, SIDE, 3))


class I3D(tf.Module):
    """Inflated Inception-v1 on video, only for inference.

    BatchNorm (without scale, eps 1e-3) is folded into the kernels. The three 1x1x1 convolutions
    that read the same map of an Inception module are merged into one.

    Source: Carreira and Zisserman, "Quo Vadis, Action Recognition?", 2017; the weights of
    deepmind/i3d-kinetics-400/1; deviations: none.

    Args:
        arrays: the weights, as `weights.fetch('i3d')` keeps them.

    Call arguments:
        videos: float32 `[N, T, 224, 224, 3]` in [-1, 1], T at least 9.

    Returns:
        float32 `[N, 400]`: logits before the softmax, mean over time.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        super().__init__()
        units = sorted({name.rpartition("/")[0] for name in arrays})
        self._units = {unit: _folded(arrays, unit) for unit in units}
        for layer, spec in LAYERS.items():
            if spec is None:
                self._fuse(layer)
        self._units = {
            unit: (tf.constant(kernel), tf.constant(bias))
            for unit, (kernel, bias) in self._units.items()
        }

    def _fuse(self, module):
        entries = [f"{module}/Branch_{k}/Conv3d_0a_1x1" for k in range(3)]
        kernels, biases = zip(*(self._units.pop(entry) for entry in entries))
        self._units[f"{module}/entry"] = np.concatenate(kernels, -1), np.concatenate(biases)

    def __call__(self, videos: tf.Tensor) -> tf.Tensor:
        return self.endpoints(videos)["Logits"]

    def endpoints(self, videos: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return {layer's name: its map `[N, T', H', W', C]`, and 'Logits': `[N, 400]`}."""
        x, found = videos, {}
        for name, spec in LAYERS.items():
            if spec is None:
                x = self._inception(x, name)
            elif spec[0] == POOL:
                x = tf.nn.max_pool3d(x, *spec[1:], "SAME")
            else:
                x = self._unit(x, name, spec)
            found[name] = x
        x = tf.nn.avg_pool3d(x, (2, 7, 7), 1, "VALID")
        kernel, bias = self._units["Logits/Conv3d_0c_1x1"]
        x = tf.nn.conv3d(x, kernel, (1, 1, 1, 1, 1), "SAME") + bias
        found["Logits"] = tf.reduce_mean(x, (1, 2, 3))
        return found

    def _unit(self, x, name, strides=(1, 1, 1)):
        kernel, bias = self._units[name]
        return tf.nn.relu(tf.nn.conv3d(x, kernel, (1, *strides, 1), "SAME") + bias)

    def _inception(self, x, name):
        middle = [f"{name}/Branch_{k}/Conv3d_0b_3x3" for k in (1, 2)]
        inner = [self._units[unit][0].shape[3] for unit in middle]
        entry = self._unit(x, f"{name}/entry")
        branch_0, *entries = tf.split(entry, [entry.shape[-1] - sum(inner), *inner], axis=-1)
        branches = [self._unit(entry, unit) for entry, unit in zip(entries, middle)]
        pooled = tf.nn.max_pool3d(x, 3, 1, "SAME")
        pooled = self._unit(pooled, f"{name}/Branch_3/Conv3d_0b_1x1")
        return tf.concat([branch_0, *branches, pooled], axis=-1)


def _folded(arrays, unit):
    """Return (kernel, bias) of a unit with its normalisation folded in, computed in float64."""
    kernel = arrays[f"{unit}/kernel"].astype(np.float64)
    if f"{unit}/bias" in arrays:
        return kernel.astype(np.float32), arrays[f"{unit}/bias"]
    inverse = 1.0 / np.sqrt(arrays[f"{unit}/variance"].astype(np.float64) + EPSILON)
    bias = arrays[f"{unit}/offset"] - arrays[f"{unit}/mean"] * inverse
    return (kernel * inverse).astype(np.float32), bias.astype(np.float32)


class FeatureNetwork:
    """Turns videos into features, by I3D or by another network in its place.

    Attributes:
        name: 'i3d' or the path.
        digest: sha256 of the weights.

    Args:
        source: 'i3d', or the folder of a SavedModel. Its signature 'default' (or its only one)
            takes the result of `preprocess` and returns logits `[N, D]`, as the module
            deepmind/i3d-kinetics-400/1 does.
        cache_dir: see `weights.cache_folder`.

    Raises:
        WeightsUnavailable: the weights cannot be obtained.
    """

    def __init__(self, source: str = "i3d", cache_dir: str | Path | None = None):
        self.name = source
        if source == "i3d":
            arrays = weights.read(weights.fetch("i3d", cache_dir))
            network, self.digest = I3D(arrays), weights.digest(arrays)
        else:
            network, self.digest = _saved_network(expanded(source))
        self._compiled = tf.function(
            lambda videos: network(preprocess(videos)), reduce_retracing=True, autograph=False
        )

    def __call__(self, videos: np.ndarray, batch_size: int = 4) -> np.ndarray:
        """Compute features float32 `[N, D]` of videos uint8 `[N, T, H, W, 1 or 3]`, by batch.

        Raises:
            ValueError: another shape or dtype, fewer than 9 frames, a batch size below 1.
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        check_videos(videos)
        batches = range(0, len(videos), batch_size)
        return np.concatenate(
            [self._compiled(tf.constant(videos[k : k + batch_size])).numpy() for k in batches]
        )


def check_videos(videos: ArrayLike, name: str = "videos") -> None:
    """Raise ValueError unless the network can take `videos`."""
    shape, dtype = np.shape(videos), getattr(videos, "dtype", None)
    if dtype != np.uint8:
        raise ValueError(f"`{name}` must be uint8, in [0, 255]. Received: {dtype}")
    if len(shape) != 5 or shape[-1] not in (1, 3) or 0 in shape:
        raise ValueError(f"`{name}` must be [N, T, H, W, 1 or 3]. Received: {shape}")
    if shape[1] < LEAST_FRAMES:
        raise ValueError(f"`{name}` must have at least {LEAST_FRAMES} frames. Received: {shape[1]}")


def _saved_network(folder: Path) -> tuple[Callable, str]:
    try:
        with files.for_tensorflow(folder) as name:
            loaded = tf.saved_model.load(name)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise WeightsUnavailable(f"no SavedModel in {folder}: {error}") from None
    names = list(loaded.signatures)
    chosen = "default" if "default" in names or len(names) != 1 else names[0]
    if chosen not in names:
        raise WeightsUnavailable(f"{folder} has no signature 'default', but {names}")
    signature = loaded.signatures[chosen]
    argument = next(iter(signature.structured_input_signature[1]), None)
    shapes = {name: output.shape for name, output in signature.structured_outputs.items()}
    name = "default" if "default" in shapes else next(iter(shapes), "")
    if argument is None or not shapes or shapes[name].rank not in (2, None):
        raise WeightsUnavailable(f"{folder}: signature {chosen!r} does not map videos to [N, D]")
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(sha256(path).encode())

    def network(videos):
        return signature(**{argument: videos})[name]

    network.loaded = loaded  # a signature does not keep its variables alive
    return network, digest.hexdigest()
