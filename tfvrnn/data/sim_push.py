"""Simulated robot pushing: episodes of `tfvrnn.simulators.sim_push`, prepared once.

It replaces BAIR robot pushing if 30 GB cannot be downloaded. docs/data.md lists the differences.
"""

from functools import partial
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from tfvrnn.config import SIM_PUSH_SCENES, DataConfig, ModelConfig
from tfvrnn.data import simulated, tfrecord_reader
from tfvrnn.data.source import VideoSource
from tfvrnn.data.tfrecord_writer import Prepared
from tfvrnn.simulators import FRAMES, sim_push


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
    scene: str = "varied",
    workers: int | None = None,
) -> Prepared:
    """Simulate and render the episodes once, in about half a second each.

    Args:
        size: side of the square frames.
        channels: 3.
        episodes: number of training episodes.
        test_episodes: number of test episodes; None: a tenth of `episodes`, at least one.
        seed: seed of all episodes; on one machine the same seed gives the same frames.
        scene: 'varied' draws camera, light and table for every episode. 'fixed' keeps them the same
            in all, as a dataset of its own, sim_push_fixed.
        workers: number of processes; None: one per core.

    Raises:
        UserError: the simulator is not installed (extra `sim`), or cannot draw here.
    """
    fixed = scene == "fixed"
    text = "A simulated Fetch arm pushes one to three objects about a table, random policy."
    simulation = simulated.Simulation(
        SIM_PUSH_SCENES[scene],
        partial(sim_push.episode, fixed),
        {
            "actions": tfds.features.Tensor(shape=(FRAMES, 4), dtype=np.float32),
            "objects": tfds.features.Scalar(np.int64),
        },
        text + (" One camera, light and table." if fixed else ""),
    )
    counts = {"train": episodes, "test": test_episodes or max(1, episodes // 10)}
    return simulated.prepare(simulation, data_dir, size, channels, counts, seed, workers)
