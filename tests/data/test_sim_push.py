import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import make_dataset, sim_push

SAMPLE = Path(__file__).parent / "prepared"
HAS_SIMULATOR = importlib.util.find_spec("gymnasium_robotics") is not None


def test_the_sample_is_read():
    data = DataConfig("sim_push", str(SAMPLE), horizon=10, batch_size=8)
    batch = next(iter(make_dataset(data, ModelConfig(), "train"))).numpy()
    assert batch.shape == (8, 12, 64, 64, 3) and batch.std() > 30
    moving = np.abs(np.diff(batch.astype(int), axis=1)).max(axis=(2, 3, 4))
    assert (moving.max(axis=1) > 50).all()  # something moves in every clip


def test_actions_are_stored():
    builder = tfds.builder_from_directory(SAMPLE / "sim_push_64" / "1.0.0")
    actions = np.stack([r["actions"] for r in builder.as_dataset("train").as_numpy_iterator()])
    assert actions.shape == (64, 30, 4) and np.abs(actions).max() <= 1
    assert actions[..., :2].std() > 0.3


@pytest.mark.skipif(not HAS_SIMULATOR, reason="the extra sim is not installed")
def test_episodes_are_those_of_their_seed(tmp_path):
    stored = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepared = sim_push.prepare(tmp_path / name, size=32, episodes=2, seed=seed)
        assert prepared.videos == {"train": 2, "test": 1}
        dataset = tfds.builder_from_directory(prepared.folder).as_dataset("train")
        stored.append(np.stack([record["video"] for record in dataset.as_numpy_iterator()]))
    np.testing.assert_array_equal(stored[0], stored[1])
    assert (stored[0] != stored[2]).any() and (stored[0][0] != stored[0][1]).any()


def test_without_the_simulator_it_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="in colour"):
        sim_push.prepare(tmp_path, channels=1)
    monkeypatch.setenv("MUJOCO_GL", "nothing")
    with pytest.raises(UserError, match="cannot be simulated"):
        sim_push.prepare(tmp_path, episodes=1)
    assert not list(tmp_path.rglob("dataset_info.json"))
