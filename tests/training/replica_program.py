"""Train a tiny run for a few steps on one or more replicas or workers, and write the results.

python replica_program.py OUT.npz one_device|mirrored|multi_worker sgd,adam,muon,fp16,calibrated

Two virtual CPUs replace two devices. Workers find each other by TF_CONFIG.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf
from tiny_run import SMALL

from tfvrnn import config_flags
from tfvrnn.models import build_model
from tfvrnn.training import optimizer as optimizers
from tfvrnn.training.loop import prepare_tensorflow
from tfvrnn.training.step import make_train_step
from tfvrnn.training.strategy import Workers, distributed_dataset, make_strategy

ALL = {
    "data.batch_size": 8,
    "train.clip_norm": 5.0,
    "train.accumulate": 2,
    "train.weight_decay": 1e-3,
    "train.average_decay": 0.9,
}
STEPS = 5
# Loss scales of the first steps. Under the first no gradient fits into float16, under the second
# all do. In between the rounding would decide, and with it the division over devices.
SCALES = (2.0**30, 2.0**7)


class SGD(optimizers.TakesReduced, keras.optimizers.SGD):
    """Steps by the reduced gradients, and keeps the newest, as they are before clipping."""

    def build(self, variables):
        super().build(variables)
        own = {
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA,
        }
        self.newest = [tf.Variable(tf.zeros(v.shape), trainable=False, **own) for v in variables]

    def apply(self, grads, trainable_variables=None):
        for kept, gradient in zip(self.newest, grads):
            kept.assign(gradient)
        return super().apply(grads, trainable_variables)


def run(strategy, kind):
    """Train some steps and return the results as {name: array}."""
    config = config_flags.replace(SMALL, ALL)
    optimizer = None
    if kind == "sgd":
        optimizer = SGD(1e-2, global_clipnorm=5.0, weight_decay=1e-3)
        config = config_flags.replace(config, {"model.latent_resolutions": (1,)})  # traced sooner
    if kind == "calibrated":
        changes = {"model.reconstruction": "gaussian", "train.scheduled_sampling": 0.5}
        config = config_flags.replace(config, changes)
    if kind == "muon":
        config = config_flags.replace(config, {"train.optimizer": "muon"})
    if kind == "fp16":
        config = config_flags.replace(config, {"train.precision": "mixed_float16"})
    model = build_model(config.model, config.train.precision)
    optimizer = optimizer or optimizers.make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    begun = flatten(model.weights)
    averages = optimizers.MovingAverages(model, config.train.average_decay)
    step = make_train_step(model, optimizer, config, averages)
    dataset = distributed_dataset(strategy, config, start=0)
    losses, norms, reduced = [], [], []
    for number, frames in zip(range(STEPS), dataset):
        if kind == "fp16" and number < len(SCALES):
            optimizer.dynamic_scale.assign(SCALES[number])
        metrics = step(frames, tf.constant(number, tf.int64))
        losses.append(float(metrics["loss"]))
        norms.append(float(metrics["gradient_norm"]))
        if kind == "sgd" and number == 0:
            reduced = flatten(optimizer.newest)
    found = {"losses": losses, "norms": norms, "gradients": reduced, "begun": begun}
    weights = flatten(model.weights)
    return found | {"weights": weights, "averages": flatten(averages.averages)}


def flatten(variables):
    return np.concatenate([np.ravel(v.numpy()) for v in variables])


def main(out, name, kinds):
    if name == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
    prepare_tensorflow(SMALL)
    strategy = make_strategy(name)
    found = {"replicas": strategy.num_replicas_in_sync}
    with strategy.scope():
        for kind in kinds.split(","):
            found |= {f"{kind}/{n}": value for n, value in run(strategy, kind).items()}
    # What one worker is told, all know.
    workers = Workers(strategy)
    found["told"] = workers.any(not workers.is_chief)
    if workers.is_chief:
        np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
