"""Simulated episodes as a prepared dataset: the shared part of sim_push and pusht."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds

from tfvrnn.config import UserError
from tfvrnn.data import tfrecord_writer
from tfvrnn.data.tfrecord_writer import Prepared, Shard
from tfvrnn.dataset_paths import prepared_folder
from tfvrnn.simulators import FRAMES, SimulatorError

EPISODES_A_SHARD = 16


class Simulation(NamedTuple):
    """A dataset that a simulator draws.

    name: name of the dataset.
    episode: (size, key) -> record. It depends on these only, and is called in processes without
        TensorFlow.
    features: TFDS features of a record besides its video.
    description: text for the metadata.
    """

    name: str
    episode: Callable[[int, list[int]], dict[str, Any]]
    features: dict[str, Any]
    description: str


def prepare(
    simulation: Simulation,
    data_dir: str | Path,
    size: int,
    channels: int,
    counts: dict[str, int],
    seed: int,
    workers: int | None = None,
) -> Prepared:
    """Simulate and render the episodes once; after an interruption, the same call continues.

    Args:
        counts: {'train': training episodes, 'test': test episodes}. Episode k of the n-th split
            has the key [seed, n, k]. So no two are the same, and larger counts only add episodes.
        workers: number of processes; None: one per core. The episodes do not depend on it.

    Raises:
        UserError: not in colour, the simulator is not installed, or cannot draw here.
    """
    name = simulation.name
    if channels != 3:
        raise UserError(f"{name} is in colour. Received: {channels} channels")
    shards = [
        Shard(
            split, [[seed, number, k] for k in range(first, min(first + EPISODES_A_SHARD, count))]
        )
        for number, (split, count) in enumerate(counts.items())
        for first in range(0, count, EPISODES_A_SHARD)
    ]
    video = tfds.features.Video(shape=(FRAMES, size, size, 3), encoding_format="png")
    features = {"video": video, **simulation.features}
    options = {"episodes": counts["train"], "seed": seed, "size": size}

    def make(work: list[list[int]]) -> Iterator[dict]:
        yield from pool.map(simulation.episode, [size] * len(work), work)

    folder = prepared_folder(name, data_dir, size, 3)
    # Separate processes without TensorFlow: see tfvrnn/simulators.
    with ProcessPoolExecutor(workers or os.cpu_count(), get_context("spawn")) as pool:
        try:
            return tfrecord_writer.write_dataset(
                folder, features, shards, make, options, simulation.description
            )
        except SimulatorError as error:
            raise UserError(f"{name} cannot be simulated: {error}") from None
        except BrokenProcessPool:
            raise UserError(f"{name} cannot be simulated: the simulator crashed") from None
        finally:
            pool.shutdown(cancel_futures=True)
