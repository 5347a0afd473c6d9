import numpy as np
import pytest
import tensorflow as tf
from inputs import GOLDEN, clip, summary
from PIL import Image, ImageFilter

from tfvrnn.metrics import frechet_distance, frechet_video_distance, fvd, i3d, weights
from tfvrnn.metrics.i3d import FeatureNetwork, preprocess


def test_every_layer_is_that_of_the_independent_network(network):
    golden = np.load(GOLDEN / "i3d.npz")
    endpoints = i3d.I3D(weights.read(weights.fetch("i3d"))).endpoints(clip())
    assert set(endpoints) == set(golden) - {"Predictions", "logits"}
    for name, values in endpoints.items():
        np.testing.assert_allclose(summary(values), golden[name], atol=1e-4, err_msg=name)
    np.testing.assert_allclose(endpoints["Logits"][0], golden["logits"], atol=1e-3)


def test_black_against_white_is_the_known_value(network):
    black = np.zeros((2, 15, 64, 64, 3), np.uint8)  # equal clips: their number does not matter
    white = np.full((2, 15, 64, 64, 1), 255, np.uint8)  # grey is repeated
    assert abs(frechet_video_distance(black, white) - 133.908) < 0.1


def test_the_resize_is_tensorflow_1s(rng):
    frames = rng.integers(0, 256, (1, 2, 20, 30, 3), np.uint8)
    found = preprocess(tf.constant(frames)).numpy()
    plain = tf.compat.v1.image.resize_bilinear(frames[0].astype(np.float32), (224, 224))
    np.testing.assert_allclose(found[0], 2 * plain / 255 - 1, atol=1e-6)
    # Computed by hand: the corner of pixel (y, x) of the result lies at (y 20/224, x 30/224).
    image = frames[0, 0].astype(float)
    y, x = 100 * 20 / 224, 50 * 30 / 224
    (a, b), (i, j) = np.modf([y, x])
    i, j = int(i), int(j)
    rows = (1 - a) * image[i] + a * image[i + 1]
    value = (1 - b) * rows[j] + b * rows[j + 1]
    np.testing.assert_allclose(found[0, 0, 100, 50], 2 * value / 255 - 1, atol=1e-5)


def blurred(clips, radius):
    flat = clips.reshape(-1, *clips.shape[2:])
    images = [Image.fromarray(x).filter(ImageFilter.GaussianBlur(radius)) for x in flat]
    return np.stack([np.asarray(image) for image in images]).reshape(clips.shape)


def noisy(clips, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, clips.shape)
    return np.clip(clips + noise, 0, 255).astype(np.uint8)


def shuffled(clips, window):
    """Shuffle frames within windows of a given length, differently in every clip."""
    rng, found = np.random.default_rng(0), clips.copy()
    for clip_ in found:
        for start in range(0, len(clip_), window):
            clip_[start : start + window] = rng.permutation(clip_[start : start + window])
    return found


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("corrupt", "amounts"),
    [(noisy, (5, 20, 60)), (blurred, (0.5, 1, 2)), (shuffled, (2, 4, 12))],
)
def test_the_distance_rises_with_every_corruption(network, clips, corrupt, amounts):
    real = network(clips)
    assert abs(frechet_distance(real, real)) < 1e-3
    distances = [frechet_distance(real, network(corrupt(clips, amount))) for amount in amounts]
    assert 0 < distances[0] < distances[1] < distances[2], distances


@pytest.mark.thorough
def test_the_batch_size_does_not_matter(network, clips):
    np.testing.assert_allclose(network(clips[:3], 2), network(clips[:3], 3), atol=1e-3)


def test_features_of_real_videos_are_kept_by_content(tmp_path):
    class Network:
        digest, calls = "a", 0

        def __call__(self, videos):
            self.calls += 1
            return np.asarray(videos).mean((2, 3, 4))

    network, videos = Network(), np.zeros((2, 9, 4, 4, 1), np.uint8)
    first = fvd.cached_features(network, videos, tmp_path)
    np.testing.assert_array_equal(fvd.cached_features(network, videos.copy(), tmp_path), first)
    assert network.calls == 1
    fvd.cached_features(network, videos + 1, tmp_path)
    network.digest = "b"
    fvd.cached_features(network, videos, tmp_path)
    assert network.calls == 3
    for path in (tmp_path / "features").iterdir():
        path.write_bytes(b"cut")
    np.testing.assert_array_equal(fvd.cached_features(network, videos, tmp_path), first)


def test_another_network_by_path(tmp_path):
    module = tf.Module()
    module.weight = tf.Variable(tf.random.stateless_normal((3, 5), (1, 2)))
    spec = tf.TensorSpec((None, None, 224, 224, 3), tf.float32)
    call = tf.function(lambda rgb: {"default": tf.reduce_mean(rgb, (1, 2, 3)) @ module.weight})
    tf.saved_model.save(
        module, str(tmp_path / "net"), {"default": call.get_concrete_function(spec)}
    )
    (tmp_path / "net").rename(tmp_path / "net [1]")  # the name is a pattern to TensorFlow
    network = FeatureNetwork(str(tmp_path / "net [1]"))
    videos = np.full((2, 9, 8, 8, 1), 255, np.uint8)
    np.testing.assert_allclose(network(videos), [module.weight.numpy().sum(0)] * 2, rtol=1e-4)
    assert len(network.digest) == 64
    with pytest.raises(weights.WeightsUnavailable, match="no SavedModel"):
        FeatureNetwork(str(tmp_path / "none"))


def test_a_network_that_takes_or_gives_other_things_is_refused(tmp_path):
    spec = tf.TensorSpec((None, None, 224, 224, 3), tf.float32)
    networks = {
        "maps": tf.function(lambda rgb: tf.reduce_mean(rgb, 1)).get_concrete_function(spec),
        "nothing": tf.function(lambda: tf.zeros((2, 3))).get_concrete_function(),
    }
    for name, call in networks.items():
        tf.saved_model.save(tf.Module(), str(tmp_path / name), {"default": call})
        with pytest.raises(weights.WeightsUnavailable, match=r"does not map videos to \[N, D\]"):
            FeatureNetwork(str(tmp_path / name))


def test_a_damaged_network_is_one_error(tmp_path):
    module = tf.Module()
    module.weight = tf.Variable(tf.ones((3, 5)))
    spec = tf.TensorSpec((None, None, 224, 224, 3), tf.float32)
    call = tf.function(lambda rgb: tf.reduce_mean(rgb, (1, 2, 3)) @ module.weight)
    tf.saved_model.save(module, str(tmp_path), {"default": call.get_concrete_function(spec)})
    for path in (tmp_path / "variables").iterdir():
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(weights.WeightsUnavailable, match="no SavedModel"):
        FeatureNetwork(str(tmp_path))


GOOD = np.zeros((2, 9, 8, 8, 1), np.uint8)


@pytest.mark.parametrize(
    ("generated", "message"),
    [
        (np.zeros((2, 8, 8, 8, 1), np.uint8), "at least 9 frames"),
        (np.zeros((1, 9, 8, 8, 1), np.uint8), "at least 2 videos"),
        (np.zeros((2, 10, 8, 8, 1), np.uint8), "of one length"),
        (np.zeros((2, 9, 8, 8, 1), np.float32), "uint8"),
        (np.zeros((2, 9, 8, 8, 2), np.uint8), "1 or 3"),
        (np.zeros((9, 8, 8, 1), np.uint8), "1 or 3"),
    ],
)
def test_wrong_videos_are_refused(generated, message):
    with pytest.raises(ValueError, match=message):
        frechet_video_distance(GOOD, generated)


@pytest.mark.slow
@pytest.mark.real_network
def test_uniform_noise_without_preprocessing_is_the_known_value(network):
    """The figure is from universome/fvd-comparison: noise in [0, 1] as the network's own input."""
    features = []
    compiled = tf.function(i3d.I3D(weights.read(weights.fetch("i3d"))), autograph=False)
    for seed in (1, 2):
        noise = np.random.RandomState(seed)  # clip by clip it draws the same numbers as at once
        clips = (noise.rand(1, 16, 224, 224, 3).astype(np.float32) for _ in range(128))
        features.append(np.concatenate([compiled(tf.constant(clip)).numpy() for clip in clips]))
    assert abs(frechet_distance(*features) - 10.138085) < 1e-3
