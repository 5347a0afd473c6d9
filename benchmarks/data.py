"""Time the input pipeline: frames/s of every dataset, beside those that the train step consumes.

    python benchmarks/data.py [--data.workers=2 …]

It prints one JSON line. smmnist is generated. sim_push is the sample of tests/. The others are
first prepared into a temporary folder from noise, the worst case of an image decoder: BAIR in its
original layout, videos and city snippets likewise. The train step is that of width 16.
"""

import dataclasses
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common
import train_step

from tfvrnn import config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import Config, DataConfig, ModelConfig

ROOT = Path(__file__).resolve().parents[1]
BATCHES, ROUNDS, VIDEOS = 40, 5, 64
DEFAULT = Config(model=ModelConfig(width=16), data=DataConfig(batch_size=4, horizon=10))


def main(arguments):
    config = config_flags.replace(DEFAULT, config_flags.parse_changes(arguments, Config))
    report = {"machine": common.machine(), "frames_per_s": {}, "peak_rise_mb": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, data_dir in prepare(Path(folder)).items():
            data = dataclasses.replace(config.data, dataset=name, data_dir=str(data_dir))
            rate, rise = measure(data, config.model)
            report["frames_per_s"][name] = round(rate)
            report["peak_rise_mb"][name] = rise
    step, frames, _ = train_step.prepare(config)
    step()
    seconds = statistics.median(common.timed(step) for _ in range(ROUNDS))
    report["train_step_frames_per_s"] = round(frames / seconds, 1)
    slowest = min(report["frames_per_s"].values())
    report["slowest_over_train_step"] = round(slowest * seconds / frames, 1)
    print(json.dumps(report))


def measure(data, model) -> tuple[float, int]:
    """Measure (frames/s, rise of the peak memory in MB) of only the training pipeline."""
    from tfvrnn.data import make_dataset

    batches = iter(make_dataset(data, model, "train"))
    next(batches)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        frames = sum(len(videos) * videos.shape[1] for videos, _ in zip(batches, range(BATCHES)))
        rates.append(frames / (time.perf_counter() - start))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return statistics.median(rates), round((after - before) / 1024)


def prepare(folder: Path) -> dict[str, Path]:
    """Prepare {dataset: data_dir}, with noise of the true sizes where data are not at hand."""
    import numpy as np
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from tfvrnn.data import bair, tfrecord_writer
    from tfvrnn.dataset_paths import prepared_folder

    rng = np.random.default_rng(0)
    original = folder / "original" / bair.EXTRACTED
    for split, count in (("train", VIDEOS), ("test", 1)):
        (original / split).mkdir(parents=True)
        with tf.io.TFRecordWriter(str(original / split / "noise.tfrecords")) as writer:
            for _ in range(count):
                writer.write(_bair_record(rng))
    bair.prepare(folder, original.parent)

    def noise(count):
        return ({"video": rng.integers(0, 256, (30, 64, 64, 3), np.uint8)} for _ in range(count))

    features = {"video": tfds.features.Video(shape=(30, 64, 64, 3), encoding_format="png")}
    shards = [tfrecord_writer.Shard("train", VIDEOS), tfrecord_writer.Shard("test", 1)]
    for name in ("video_folder", "cityscapes"):
        where = prepared_folder(name, folder, 64, 3)
        tfrecord_writer.write_dataset(where, features, shards, noise, {}, "noise")
    sample = ROOT / "tests" / "data" / "prepared"
    prepared = dict.fromkeys(("bair", "video_folder", "cityscapes"), folder)
    return {"smmnist": folder, "sim_push": sample, **prepared}


def _bair_record(rng) -> bytes:
    import tensorflow as tf

    feature = {}
    for t in range(30):
        for camera in ("image_main", "image_aux1"):
            raw = tf.train.BytesList(value=[rng.bytes(64 * 64 * 3)])
            feature[f"{t}/{camera}/encoded"] = tf.train.Feature(bytes_list=raw)
        for name, size in (("endeffector_pos", 3), ("action", 4)):
            floats = tf.train.FloatList(value=[0.0] * size)
            feature[f"{t}/{name}"] = tf.train.Feature(float_list=floats)
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


if __name__ == "__main__":
    runtime.run(main, __doc__)
