"""Preparation of simulated datasets, with a toy simulator that needs no package."""

from functools import partial

import numpy as np
import pytest
import tensorflow_datasets as tfds
import toy_simulator

from tfvrnn.config import UserError
from tfvrnn.data import simulated


@pytest.fixture
def prepare(tmp_path):
    def prepare(folder, train, test=1, seed=3, workers=1, channels=3):
        episode = partial(toy_simulator.episode, str(tmp_path / "power"))
        features = {"key": tfds.features.Tensor(shape=(3,), dtype=np.int64)}
        toy = simulated.Simulation("toy", episode, features, "noise")
        counts = {"train": train, "test": test}
        return simulated.prepare(toy, tmp_path / folder, 8, channels, counts, seed, workers)

    return prepare


def records(prepared, split):
    builder = tfds.builder_from_directory(prepared.folder)
    return list(builder.as_dataset(split).as_numpy_iterator())


def test_an_episode_is_a_function_of_seed_split_and_number(prepare):
    few, many = prepare("few", 3, test=2), prepare("many", 18, test=2, workers=2)
    assert few.folder.parts[-2:] == ("toy_8", "1.0.0") and many.videos == {"train": 18, "test": 2}
    for number, split in enumerate(("train", "test")):
        keys = [record["key"].tolist() for record in records(many, split)]
        assert keys == [[3, number, k] for k in range(many.videos[split])]
        for record, same in zip(records(few, split), records(many, split)):
            expected = toy_simulator.episode("", 8, record["key"].tolist())["video"]
            np.testing.assert_array_equal(record["video"], expected)
            np.testing.assert_array_equal(same["video"], expected)


def test_an_interrupted_preparation_continues(prepare, tmp_path):
    with pytest.raises(UserError, match=r"^toy cannot be simulated: no power$"):
        prepare("halted", 40)
    [first] = (tmp_path / "halted").rglob("toy_8-train*-00000-of-00003")
    written = first.stat()
    (tmp_path / "power").touch()
    resumed, whole = prepare("halted", 40), prepare("whole", 40)
    assert (resumed.folder / first.name).stat().st_mtime_ns == written.st_mtime_ns
    names = sorted(path.name for path in whole.folder.glob("*.tfrecord*"))
    assert len(names) == 4
    for name in names:
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_grey_is_refused(prepare, tmp_path):
    with pytest.raises(UserError, match=r"toy is in colour\. Received: 1 channels"):
        prepare("grey", 1, channels=1)
    assert not (tmp_path / "grey").exists()
