import numpy as np
import pytest
import tensorflow as tf
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tfvrnn.metrics import psnr, ssim


@pytest.fixture
def pair(rng):
    truth = rng.uniform(size=(2, 3, 24, 20, 3)).astype(np.float32)
    return np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1).astype(np.float32), truth


def test_psnr_is_skimages(pair):
    found = psnr(*pair).numpy()
    assert found.shape == (2, 3)
    for index in np.ndindex(2, 3):
        expected = peak_signal_noise_ratio(pair[1][index], pair[0][index], data_range=1)
        np.testing.assert_allclose(found[index], expected, rtol=1e-5)


def test_psnr_of_equal_frames_is_infinite(pair):
    assert np.isinf(psnr(pair[1], pair[1]).numpy()).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_uniform_ssim_is_skimages_of_every_channel(pair, channels):
    frames, truth = (x[..., :channels] for x in pair)
    found = ssim(frames, truth, "uniform").numpy()
    assert found.shape == (2, 3)
    for index in np.ndindex(2, 3):
        single = [
            structural_similarity(frames[index][..., c], truth[index][..., c], data_range=1)
            for c in range(channels)
        ]
        np.testing.assert_allclose(found[index], np.mean(single), atol=1e-5)


def test_gaussian_ssim_is_tensorflows_and_skimages(pair):
    found = ssim(*pair).numpy()
    np.testing.assert_array_equal(found, tf.image.ssim(*pair, 1.0).numpy())
    expected = structural_similarity(
        pair[0][0, 0],
        pair[1][0, 0],
        data_range=1,
        channel_axis=-1,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )[1][5:-5, 5:-5].mean()
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-4)


def test_ssim_of_equal_frames_is_one(pair):
    for definition in ("gaussian", "uniform"):
        np.testing.assert_allclose(ssim(pair[1], pair[1], definition).numpy(), 1, atol=1e-6)


def test_wrong_frames_are_refused(pair):
    frames, truth = pair
    with pytest.raises(ValueError, match="one shape"):
        psnr(frames[:1], truth)
    with pytest.raises(ValueError, match="float in"):
        psnr((255 * frames).astype(np.uint8), (255 * truth).astype(np.uint8))
    with pytest.raises(ValueError, match="must lie in"):
        psnr(255 * frames, 255 * truth)
    with pytest.raises(ValueError, match="must lie in"):
        ssim(2 * frames - 1, 2 * truth - 1)
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(frames[..., :8, :8, :], truth[..., :8, :8, :])
    with pytest.raises(ValueError, match="at least 7 pixels"):
        ssim(frames[..., :6, :6, :], truth[..., :6, :6, :], "uniform")
    with pytest.raises(ValueError, match="gaussian, uniform"):
        ssim(frames, truth, "box")


@pytest.mark.parametrize("known", [(None, None, None, 3), (2, None, 20, 3), (None, 24, 20, 3)])
@pytest.mark.parametrize("figure", [psnr, ssim, lambda a, b: ssim(a, b, "uniform")])
def test_in_a_graph_lengths_may_be_unknown(rng, known, figure):
    frames, truth = rng.random((2, 2, 24, 20, 3), np.float32)
    spec = tf.TensorSpec(known, tf.float32)
    found = tf.function(figure, input_signature=[spec, tf.TensorSpec((2, 24, 20, 3), tf.float32)])
    np.testing.assert_allclose(found(frames, truth), figure(frames, truth), rtol=1e-5)
    if known[0] is None:
        with pytest.raises(tf.errors.InvalidArgumentError, match="the shapes differ"):
            found(frames[:1], truth)


def test_in_a_graph_the_rank_must_be_known():
    anything = tf.TensorSpec(None, tf.float32)
    with pytest.raises(ValueError, match="must be of one shape"):
        tf.function(psnr, input_signature=[anything, anything]).get_concrete_function()
