import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from reference import moving_digit

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import make_dataset, smmnist

MODEL = ModelConfig(image_size=64, channels=1, context_frames=5)
DATA = DataConfig(dataset="smmnist", horizon=7, batch_size=4)


def first_batch(split="train", start=0, data=DATA, model=MODEL):
    return next(iter(make_dataset(data, model, split, start))).numpy()


def our_paths(count, frames, side):
    """Return (y, x) of one digit per path, `[count, frames, 2]`."""
    numbers = tf.data.Dataset.range(count)
    key = tf.constant([0, 0], tf.int64)

    def path(n):
        video_key = tf.random.experimental.stateless_fold_in(key, n, alg="philox")
        return smmnist.trajectories(video_key, frames, side, 1)[:, 0]

    return np.stack(list(numbers.map(path).as_numpy_iterator()))


def test_batches_are_uint8_videos_of_the_models_size():
    frames = first_batch()
    assert frames.shape == (4, 12, 64, 64, 1) and frames.dtype == np.uint8
    assert frames.max() > 200 and np.median(frames) == 0


def test_a_video_is_a_function_of_seed_split_and_number():
    frames = first_batch()
    np.testing.assert_array_equal(frames, first_batch())
    np.testing.assert_array_equal(frames[3], first_batch(start=3)[0])
    one = DataConfig(dataset="smmnist", horizon=7, batch_size=1, workers=1)
    np.testing.assert_array_equal(frames[0], first_batch(data=one)[0])
    for other in (
        first_batch("test"),
        first_batch(data=DataConfig(horizon=7, batch_size=4, seed=1)),
    ):
        assert np.any(other != frames)


def test_positions_bounces_and_velocities_follow_the_rule():
    """Compare histograms of 2,000 paths with an independent implementation of the rule."""
    count, frames, side = 2000, 25, 64
    rng = np.random.default_rng(0)
    ours = our_paths(count, frames, side)
    theirs = np.stack([moving_digit(frames, side, rng) for _ in range(count)])
    assert ours.min() >= 0 and ours.max() <= 31

    def statistics(paths):
        speeds = np.diff(paths, axis=1)
        hits = np.concatenate([(paths == 0), (paths == 31)], axis=-1).mean(axis=(0, 1))
        return {
            "first": np.histogram(paths[:, 0], np.arange(33), density=True)[0],
            "position": np.histogram(paths[:, 10:], np.arange(33), density=True)[0],
            "y": np.histogram(paths[..., 0], 8, (0, 32), density=True)[0],
            "x": np.histogram(paths[..., 1], 8, (0, 32), density=True)[0],
            "velocity": np.histogram(speeds, np.arange(-31, 33), density=True)[0],
            "speed_y": np.histogram(speeds[..., 0], np.arange(-5, 7), density=True)[0],
            "speed_x": np.histogram(speeds[..., 1], np.arange(-5, 7), density=True)[0],
            "hits": hits,
            "at_rest": np.mean(np.all(speeds == 0, axis=(1, 2))),
            "turns": np.mean(np.any(np.diff(speeds, axis=1) != 0, axis=-1), axis=0),
        }

    expected = statistics(theirs)
    for name, found in statistics(ours).items():
        # Two samples of 2,000 paths: proportions p differ by sqrt(2 p / 2000), 4.5 times at most.
        tolerance = 4.5 * np.sqrt(2 * np.maximum(expected[name], 2e-4) / count)
        assert np.all(np.abs(found - expected[name]) <= tolerance), name


def replay(position, velocity, free, away, limit):
    """Apply the rule in plain Python to given draws for one digit: (y, x) per frame."""
    (sy, sx), (dy, dx), places = position, velocity, []
    for t in range(len(free)):
        if sy < 0:
            sy, dy, dx = 0, away[t, 0], free[t, 0, 1]
        elif sy >= limit:
            sy, dy, dx = limit - 1, -away[t, 0], free[t, 0, 1]
        if sx < 0:
            sx, dx, dy = 0, away[t, 1], free[t, 1, 0]
        elif sx >= limit:
            sx, dx, dy = limit - 1, -away[t, 1], free[t, 1, 0]
        places.append((sy, sx))
        sy, sx = sy + dy, sx + dx
    return np.array(places)


@pytest.mark.parametrize("side", [32, 64])
def test_paths_are_those_of_the_rule_on_the_same_draws(side):
    key = tf.constant([3, 4], tf.int64)
    draws = [x.numpy() for x in smmnist.draw_motion(key, 60, side, 50)]
    paths = smmnist.trajectories(key, 60, side, 50).numpy()
    position, velocity, free, away = draws
    corners = 0
    for digit in range(50):
        expected = replay(
            position[digit], velocity[digit], free[:, digit], away[:, digit], side // 2
        )
        np.testing.assert_array_equal(paths[:, digit], expected)
        corners += np.sum(np.all(np.isin(expected, (0, side // 2 - 1)), axis=1))
    assert corners > 0  # some paths hit both walls at once


def test_what_is_drawn_covers_its_range_and_no_more():
    position, velocity, free, away = smmnist.draw_motion(tf.constant([1, 1], tf.int64), 50, 64, 99)
    for values, low, high in ((position, 0, 31), (velocity, -4, 4), (free, -4, 4), (away, 1, 4)):
        found = np.unique(values)
        np.testing.assert_array_equal(found, np.arange(low, high + 1))
        share = np.bincount(np.ravel(values) - low) / np.size(values)
        np.testing.assert_allclose(
            share, 1 / len(found), atol=5 * np.sqrt(1 / len(found) / np.size(values))
        )


@pytest.mark.thorough
@pytest.mark.parametrize("side,fastest", [(16, 1), (32, 2), (128, 8)])
def test_other_sizes_scale_digits_and_speeds(side, fastest):
    paths = our_paths(200, 10, side)
    assert paths.max() <= side // 2 - 1
    speeds = np.abs(np.diff(paths[:, :2], axis=1))
    assert speeds.max() == fastest
    model = ModelConfig(image_size=side, channels=1, width=32)
    assert first_batch(model=model).shape[2:] == (side, side, 1)


def test_digits_are_resized_drawn_upright_where_the_path_says_and_added():
    digit = smmnist.load_digits("test")[3]
    large = Image.fromarray(digit.astype(np.float32)).resize((32, 32), Image.Resampling.BILINEAR)
    large = np.asarray(large) / 255
    assert np.abs(large - large.T).max() > 0.5 and np.abs(large - large[::-1]).max() > 0.5
    key = tf.constant([1, 2], tf.int64)
    video = smmnist.make_video(key, tf.constant(digit[None]), 20, 64, 2).numpy()
    places = smmnist.trajectories(tf.random.split(key, 2, alg="philox")[1], 20, 64, 2).numpy()
    expected = np.zeros((20, 64, 64))
    for t in range(20):
        for y, x in places[t]:
            expected[t, y : y + 32, x : x + 32] += large
    difference = video[..., 0] - np.round(np.minimum(expected, 1.0) * 255)
    assert np.abs(difference).max() <= 1


def test_no_digit_is_in_two_splits():
    digits = {s: smmnist.load_digits(s) for s in ("train", "validation", "test")}
    sets = {name: {d.tobytes() for d in images} for name, images in digits.items()}
    assert {name: len(s) for name, s in sets.items()} == {
        "train": 8000,
        "validation": 1000,
        "test": 1000,
    }
    assert len(set.union(*sets.values())) == 10_000


def test_every_class_is_in_every_split():
    with np.load(smmnist.DIGITS_FILE) as file:
        labels, images = file["labels"], file["images"]
    assert images.shape == (10_000, 28, 28) and images.dtype == np.uint8
    for last in (8, 9):
        assert np.bincount(labels[np.arange(10_000) % 10 == last]).min() > 80


def test_colour_models_get_the_grey_digits_three_times():
    frames = first_batch(model=ModelConfig(image_size=64, channels=3))
    np.testing.assert_array_equal(frames[..., 0], frames[..., 2])


def test_held_out_splits_are_finite_and_training_is_not():
    numbers = smmnist.make_source(DATA, MODEL, "test", start=9_998).items
    assert sum(1 for _ in numbers) == 2
    assert first_batch(start=2**40).shape[0] == 4


def test_unknown_split_raises():
    with pytest.raises(UserError, match="`split` must be one of train, validation, test"):
        make_dataset(DATA, MODEL, "dev")


def test_tfds_source_reads_disjoint_parts_of_mnist(monkeypatch):
    asked, load = {}, tfds.load

    def note(name, split):
        asked[part] = (name, split)
        return load(name, split=split)

    monkeypatch.setattr(tfds, "load", note)
    with tfds.testing.mock_data(num_examples=20):
        for part in ("train", "validation", "test"):
            digits = smmnist.load_digits(part, "tfds")
            assert digits.ndim == 3 and digits.shape[1:] == (28, 28) and digits.dtype == np.uint8
    assert asked == {
        "train": ("mnist", "train[:55000]"),
        "validation": ("mnist", "train[55000:]"),
        "test": ("mnist", "test"),
    }
