"""Simulated robot pushing: episodes of `tfvrnn.simulator`, prepared once.

It stands in for BAIR robot pushing where 30 GB cannot be downloaded; see docs/data.md for what
differs.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from tfvrnn import simulator
from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import record_writer, records
from tfvrnn.data.record_writer import Prepared, Shard
from tfvrnn.data.source import Source
from tfvrnn.prepared import prepared_folder

EPISODES_A_SHARD = 16


def make_source(data: DataConfig, model: ModelConfig, split: str, start: int) -> Source:
    """Any start in training, the first frames in validation and test."""
    return records.prepared_source(data, model, split, start)


def prepare(
    data_dir: str | Path, size: int = 64, channels: int = 3, episodes: int = 1000, seed: int = 0
) -> Prepared:
    """Simulate and render the episodes, once; about a second each.

    Args:
        size: side of the square frames.
        channels: 3.
        episodes: for training; a tenth as many, at least one, for test.
        seed: of all of them; on one machine the same seed gives the same frames.

    Raises:
        UserError: the simulator is not installed (extra `sim`), or cannot draw here.
    """
    if channels != 3:
        raise UserError(f"sim_push is in colour. Received: {channels} channels")
    counts = {"train": episodes, "test": max(1, episodes // 10)}
    shards = [
        Shard(
            split, [[seed, number, k] for k in range(first, min(first + EPISODES_A_SHARD, count))]
        )
        for number, (split, count) in enumerate(counts.items())
        for first in range(0, count, EPISODES_A_SHARD)
    ]
    features = {
        "video": tfds.features.Video(
            shape=(simulator.FRAMES, size, size, 3), encoding_format="png"
        ),
        "actions": tfds.features.Tensor(shape=(simulator.FRAMES, 4), dtype=np.float32),
        "objects": tfds.features.Scalar(np.int64),
    }

    def make(work: list[list[int]]) -> Iterator[dict]:
        yield from pool.map(partial(simulator.episode, size), work)

    folder = prepared_folder("sim_push", data_dir, size, 3)
    text = "A simulated Fetch arm pushes one to three objects about a table, random policy."
    options = {"episodes": episodes, "seed": seed, "size": size}
    # Processes of their own, which know nothing of TensorFlow: see simulator.py.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        try:
            return record_writer.write_dataset(folder, features, shards, make, options, text)
        except simulator.SimulatorError as error:
            raise UserError(f"sim_push cannot be simulated: {error}") from None
        except BrokenProcessPool:
            raise UserError("sim_push cannot be simulated: the simulator crashed") from None
        finally:
            pool.shutdown(cancel_futures=True)
