from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfvrnn import sampling
from tfvrnn.config import ModelConfig
from tfvrnn.models import build_model
from tfvrnn.sampling import tensorflow_loop


@pytest.fixture(scope="module")
def model():
    model = build_model(
        ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1, 4))
    )
    for level in model.prior_levels:  # scales start at 0, where all noise has one size
        level.head.norm.scale.assign(np.full(level.head.norm.scale.shape, 1.0))
    return model


@pytest.fixture
def context(rng):
    return rng.integers(0, 256, size=(3, 2, 8, 8, 1)).astype(np.uint8)


def sample(*arguments, **options):
    return sampling.sample_videos(*arguments, **options).numpy()


def test_a_rollout_is_begin_and_steps(model, context):
    seeds = tf.constant([5, 6, 7], tf.int64)
    state = model.begin(context.astype(np.float32) / 255)
    videos = sample(model, context, 3, seeds)
    for t in range(3):
        state, frame = model.step(state, sampling.row_noise(model, seeds, t))
        np.testing.assert_allclose(videos[:, t], frame, atol=1e-5)


@pytest.mark.thorough
def test_temperature_scales_the_priors_noise(model, context):
    seeds = tf.constant([5, 6, 7], tf.int64)
    state = model.begin(context.astype(np.float32) / 255)
    cool, warm = (sample(model, context, 2, seeds, temperature=t) for t in (0.0, 1.5))
    np.testing.assert_allclose(cool, sample(model, context, 2, mean=True), atol=1e-5)
    for t in range(2):
        noise = [1.5 * z for z in sampling.row_noise(model, seeds, t)]
        state, frame = model.step(state, noise)
        np.testing.assert_allclose(warm[:, t], frame, atol=1e-5)
    assert np.abs(warm - sample(model, context, 2, seeds)).max() > 1e-3
    for temperature in (-1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="`temperature` must be at least 0"):
            sample(model, context, 2, seeds, temperature=temperature)


def test_a_future_depends_only_on_its_own_seed_and_context(model, context):
    together = sample(model, context, 3, [5, 6, 7])
    alone = sample(model, context[1:2], 3, [6])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)
    moved = sample(model, context[::-1], 3, [7, 6, 5])
    np.testing.assert_allclose(together, moved[::-1], atol=1e-5)


def test_noise_of_a_row_is_the_same_to_the_bit_in_any_batch(model):
    rows = sampling.row_noise(model, tf.constant([4, 9]), 1)
    graph = tf.function(lambda seeds: sampling.row_noise(model, seeds, 1))(tf.constant([9]))
    for level, alone in enumerate(sampling.row_noise(model, tf.constant([9]), 1)):
        np.testing.assert_array_equal(rows[level][1:], alone)
        np.testing.assert_array_equal(graph[level], alone)
    # Another seed, time or level has other noise.
    for seed, time in [(9, 2), (8, 1)]:
        other = sampling.row_noise(model, tf.constant([seed]), time)
        assert np.abs(rows[0][1] - other[0][0]).min() > 0
    size = min(np.size(rows[0][0]), np.size(rows[1][0]))
    coarse, fine = (np.ravel(level[1])[:size] for level in rows)
    assert np.abs(coarse - fine).min() > 0


def test_samples_of_one_context_equal_single_ones_and_differ(model, context):
    many = sample(model, context, 3, [[1, 2], [3, 4], [5, 6]])
    assert many.shape == (3, 2, 3, 8, 8, 1)
    np.testing.assert_allclose(many[:, 1], sample(model, context, 3, [2, 4, 6]), atol=1e-5)
    assert np.abs(many[:, 0] - many[:, 1]).max(axis=(1, 2, 3, 4)).min() > 1e-4


def test_many_samples_encode_their_context_once(model, context, monkeypatch):
    rows, begin = [], type(model).begin
    monkeypatch.setattr(
        type(model),
        "begin",
        lambda self, x, *more: rows.append(x.shape[0]) or begin(self, x, *more),
    )
    flat = sampling.rollout_frames(
        model, tf.constant(context, tf.float32), tf.zeros((3, 7), tf.int64), tf.constant(2)
    )
    assert flat.shape == (21, 2, 8, 8, 1) and rows == [3]


def test_int32_seeds_are_seeds(model, context):
    np.testing.assert_array_equal(
        sample(model, context, 1, tf.constant([1, 2, 3])), sample(model, context, 1, [1, 2, 3])
    )


def test_the_mean_needs_no_seed_and_is_the_same_every_time(model, context):
    mean = sample(model, context, 3, mean=True)
    np.testing.assert_array_equal(mean, sample(model, context, 3, mean=True))
    assert np.abs(mean - sample(model, context, 3, [1, 2, 3])).max() > 1e-4


def test_a_new_horizon_does_not_trace_again_and_continues_the_same(model, context):
    short = sample(model, context, 2, [1, 2, 3])
    traces = tensorflow_loop.compiled(model).experimental_get_tracing_count()
    long = sample(model, context, 30, [1, 2, 3])
    assert tensorflow_loop.compiled(model).experimental_get_tracing_count() == traces
    np.testing.assert_allclose(long[:, :2], short, atol=1e-5)
    assert np.all(np.isfinite(long)) and long.min() >= 0 and long.max() <= 1


def test_new_numbers_of_contexts_trace_at_most_twice(model, context, monkeypatch):
    """A graph per number would cost seconds each."""
    monkeypatch.setattr(model, "rollouts", SimpleNamespace())  # without those of other tests
    whole = sample(model, context, 1, [1, 2, 3])
    for rows in (1, 2, 3):
        found = sample(model, context[:rows], 1, [1, 2, 3][:rows])
        np.testing.assert_allclose(found, whole[:rows], atol=1e-5)
    assert tensorflow_loop.compiled(model).experimental_get_tracing_count() == 2


def test_every_row_has_a_time_of_its_own(model):
    """A server computes requests together that are at different frames."""
    together = sampling.row_noise(model, tf.constant([4, 9]), tf.constant([3, 0]))
    for row, (seed, time) in enumerate([(4, 3), (9, 0)]):
        for level, alone in enumerate(sampling.row_noise(model, tf.constant([seed]), time)):
            np.testing.assert_array_equal(together[level][row], alone[0])


def test_training_noise_is_a_function_of_seed_step_level_and_place(model):
    noise = sampling.training_noise(model, [0, 1, 2, 3], 2, seed=1, step=7)
    assert [z.shape for z in noise] == model.noise_shapes(4, 2)
    again = sampling.training_noise(model, tf.range(4), 2, seed=1, step=tf.constant(7, tf.int64))
    some = sampling.training_noise(model, [3, 1], 2, seed=1, step=7)
    for a, b, c in zip(noise, again, some):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(tf.gather(a, [3, 1]), c)
    for other in (dict(seed=2, step=7), dict(seed=1, step=8)):
        changed = sampling.training_noise(model, range(4), 2, **other)[0]
        assert np.abs(noise[0] - changed).min() > 0
    flat = np.concatenate([np.ravel(z) for z in noise])
    assert abs(flat.mean()) < 0.1 and abs(flat.std() - 1) < 0.1


def test_training_choices_are_a_function_of_seed_step_and_place():
    places = tf.range(40)
    half = sampling.training_choices(places, 10, 0.5, seed=1, step=7)
    again = sampling.training_choices(places[3:5], 10, 0.5, seed=1, step=tf.constant(7, tf.int64))
    np.testing.assert_array_equal(half[3:5], again)
    few = sampling.training_choices(places, 10, 0.1, seed=1, step=7)
    assert abs(np.mean(half) - 0.5) < 0.1 and abs(np.mean(few) - 0.1) < 0.06
    for other in (dict(seed=1, step=8), dict(seed=2, step=7)):
        assert np.any(half != sampling.training_choices(places, 10, 0.5, **other))
    assert np.any(half[0] != half[1])
    assert np.all(sampling.training_choices(places, 10, 1.0, seed=1, step=7))
    assert not np.any(sampling.training_choices(places, 10, 0.0, seed=1, step=7))
