"""Compare two worker processes with one: the loss of speed at equal work per process.

    python benchmarks/scaling.py [--model.width=16 …]

Each process has one core of this machine and `--data.batch_size` videos per step. The workers
connect on loopback. Runs with one and with two processes take turns. It prints one JSON line. The
efficiency is the step time of one process divided by that of two.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common

from tfvrnn import config_flags
from tfvrnn.cli import runtime
from tfvrnn.config import Config, DataConfig, ModelConfig

ROUNDS, STEPS = 3, 5
DEFAULT = Config(model=ModelConfig(width=16), data=DataConfig(batch_size=4, horizon=10))


def main(arguments):
    core, arguments = common.take("core", arguments)
    if core:
        work(int(core), arguments)
        return
    config = config_flags.replace(DEFAULT, config_flags.parse_changes(arguments, Config))
    one, two = [], []
    for _ in range(ROUNDS):
        one.append(run(config.data.batch_size, 1, arguments))
        two.append(run(config.data.batch_size, 2, arguments))
    report = {
        "machine": common.machine(),
        "step_of_one_s": round(statistics.median(one), 3),
        "step_of_two_s": round(statistics.median(two), 3),
        "efficiency": round(statistics.median(one) / statistics.median(two), 3),
    }
    print(json.dumps(report))


def run(batch: int, count: int, arguments) -> float:
    """Measure the seconds per step of `count` workers, each with its own core and batch."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    processes = []
    for core in range(count):
        task = {"type": "worker", "index": core}
        cluster = json.dumps({"cluster": {"worker": addresses}, "task": task})
        own = [f"--core={core}", f"--data.batch_size={count * batch}"]
        own.append(f"--train.strategy={'multi_worker' if count > 1 else 'one_device'}")
        command = [sys.executable, __file__, *arguments, *own]
        environment = os.environ | {"TF_CONFIG": cluster, "TF_CPP_MIN_LOG_LEVEL": "3"}
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
    outputs = [process.communicate()[0] for process in processes]
    return float(outputs[0].splitlines()[-1])


def work(core: int, arguments) -> None:
    """Be one worker: train some steps on one core, and print the median seconds."""
    os.sched_setaffinity(0, {core})
    os.environ |= {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    import tensorflow as tf

    from tfvrnn.models import build_model
    from tfvrnn.training.loop import prepare_tensorflow
    from tfvrnn.training.optimizer import make_optimizer
    from tfvrnn.training.step import make_train_step
    from tfvrnn.training.strategy import distributed_dataset, make_strategy

    config = config_flags.replace(DEFAULT, config_flags.parse_changes(arguments, Config))
    # Workers must be set up before TensorFlow computes anything.
    strategy = make_strategy(config.train.strategy)
    prepare_tensorflow(config)
    with strategy.scope():
        model = build_model(config.model, config.train.precision)
        optimizer = make_optimizer(config.train)
        optimizer.build(model.trainable_variables)
        train_step = make_train_step(model, optimizer, config)
    batches = iter(distributed_dataset(strategy, config, 0))
    numbers = iter(range(10**9))

    def step():
        metrics = train_step(next(batches), tf.constant(next(numbers), tf.int64))
        return float(metrics["loss"])

    print(common.median_time(step, STEPS))


if __name__ == "__main__":
    runtime.run(main, __doc__)
