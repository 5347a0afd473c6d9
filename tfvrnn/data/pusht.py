"""PushT, a disc that pushes a T about a table: episodes of `tfvrnn.simulators.pusht`."""

from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from tfvrnn.config import DataConfig, ModelConfig
from tfvrnn.data import simulated, tfrecord_reader
from tfvrnn.data.source import VideoSource
from tfvrnn.data.tfrecord_writer import Prepared
from tfvrnn.simulators import FRAMES, pusht

TEST_EPISODES = 256  # as many as an evaluation measures


def make_source(data: DataConfig, model: ModelConfig, split: str, start: int) -> VideoSource:
    """Read clips with any start in training, the first frames in validation and test."""
    return tfrecord_reader.prepared_source(data, model, split, start)


def prepare(
    data_dir: str | Path,
    size: int = 64,
    channels: int = 3,
    episodes: int = 1000,
    test_episodes: int | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> Prepared:
    """Simulate and render the episodes once, in about a tenth of a second each.

    Args:
        size: side of the square frames.
        channels: 3.
        episodes: number of training episodes.
        test_episodes: number of test episodes; None: 256.
        seed: seed of all episodes; the same seed gives the same frames.
        workers: number of processes; None: one per core.

    Raises:
        UserError: the simulator is not installed (extra `sim`).
    """
    simulation = simulated.Simulation(
        "pusht",
        pusht.episode,
        {
            "actions": tfds.features.Tensor(shape=(FRAMES, 2), dtype=np.float32),
            "state": tfds.features.Tensor(shape=(FRAMES, 5), dtype=np.float32),
        },
        "A disc pushes a T about a table, by a script with random goals.",
    )
    counts = {"train": episodes, "test": test_episodes or TEST_EPISODES}
    return simulated.prepare(simulation, data_dir, size, channels, counts, seed, workers)
