import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import make_dataset, pusht

SAMPLE = Path(__file__).parent / "prepared"
HAS_SIMULATOR = importlib.util.find_spec("gym_pusht") is not None
UNITS = 512 / 64  # of the table per pixel


def stored(folder, split):
    records = tfds.builder_from_directory(folder).as_dataset(split).as_numpy_iterator()
    return {name: np.stack(values) for name, values in _columns(records).items()}


def _columns(records):
    rows = list(records)
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.fixture(scope="module")
def train():
    return stored(SAMPLE / "pusht_64" / "1.0.0", "train")


def test_the_sample_is_read():
    data = DataConfig("pusht", str(SAMPLE), horizon=28, batch_size=4)
    batch = next(iter(make_dataset(data, ModelConfig(), "test"))).numpy()
    assert batch.shape == (4, 30, 64, 64, 3) and batch.dtype == np.uint8
    videos = stored(SAMPLE / "pusht_64" / "1.0.0", "test")["video"]
    np.testing.assert_array_equal(batch, videos[:4])


def test_shapes(train):
    assert train["video"].shape == (32, 30, 64, 64, 3)
    assert train["actions"].shape == (32, 30, 2) and train["state"].shape == (32, 30, 5)


def test_splits_share_no_episode(train):
    test = stored(SAMPLE / "pusht_64" / "1.0.0", "test")
    starts = np.concatenate([train["state"][:, 0], test["state"][:, 0]])
    assert len(np.unique(starts, axis=0)) == 40


def test_the_disc_moves_visibly_and_the_t_is_pushed(train):
    state = train["state"]
    disc = np.linalg.norm(np.diff(state[..., :2], axis=1), axis=-1) / UNITS
    assert 1.0 < np.median(disc) < 2.0 and disc.max() < 3.01
    moves = np.abs(np.diff(state[..., 2:], axis=1)).max(axis=-1) > 0.02
    assert moves.any(axis=1).mean() > 0.9 and 0.35 < moves.mean() < 0.7


def test_action_t_leads_from_frame_t_to_the_next(train):
    """The disc follows from the actions by the controller of gym-pusht."""
    place, speed = train["state"][:, 0, :2].astype(float), 0.0
    for t in range(29):
        target = (train["actions"][:, t] + 1) * 256
        for _ in range(10):
            speed = speed + (100 * (target - place) - 20 * speed) * 0.01
            place = place + speed * 0.01
        np.testing.assert_allclose(train["state"][:, t + 1, :2], place, atol=1e-2)
    assert np.abs(train["actions"]).max() <= 1


def test_frames_show_the_disc_where_the_state_says(train):
    red, _, blue = np.moveaxis(train["video"].astype(float), -1, 0)
    weight = np.clip(blue - red - 60, 0, None)  # neither white, grey nor green
    pixels = np.arange(64) + 0.5
    x = (weight.sum(axis=2) * pixels).sum(axis=-1) / weight.sum(axis=(2, 3))
    y = (weight.sum(axis=3) * pixels).sum(axis=-1) / weight.sum(axis=(2, 3))
    np.testing.assert_allclose(np.stack([x, y], -1), train["state"][..., :2] / UNITS, atol=0.5)


def test_what_is_prepared_is_not_simulated_again():
    prepared = pusht.prepare(SAMPLE, episodes=32, test_episodes=8)
    assert prepared.videos == {"train": 32, "test": 8}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("ModuleNotFoundError('No module named x')", "the extra sim is not installed: No module"),
        ("ImportError('libGL.so.1')", "gym-pusht cannot be loaded: libGL.so.1"),
    ],
)
def test_a_missing_package_is_one_line(error, message, tmp_path, monkeypatch):
    (tmp_path / "gym_pusht").mkdir()
    (tmp_path / "gym_pusht" / "__init__.py").write_text(f"raise {error}")
    (tmp_path / "cv2.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=f"^pusht cannot be simulated: {message}"):
        pusht.prepare(tmp_path, episodes=1, workers=1)
    assert not list(tmp_path.rglob("dataset_info.json"))


@pytest.mark.skipif(not HAS_SIMULATOR, reason="the extra sim is not installed")
def test_episodes_are_those_of_their_seed(train, tmp_path):
    prepared = pusht.prepare(tmp_path, episodes=3, test_episodes=1, workers=1)
    again = stored(prepared.folder, "train")
    for name in ("actions", "state"):
        np.testing.assert_allclose(again[name], train[name][:3], atol=1e-3)
    # Another version of OpenCV may round differently.
    assert np.abs(again["video"].astype(int) - train["video"][:3]).max() <= 1
    other = pusht.prepare(tmp_path / "other", episodes=1, test_episodes=1, seed=1, workers=1)
    assert (stored(other.folder, "train")["state"][0] != train["state"][0]).all(axis=-1).any()
