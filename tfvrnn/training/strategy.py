"""The devices on which a run trains: TensorFlow's distribution strategies by name."""

import os

import tensorflow as tf

from tfvrnn.config import Config, UserError
from tfvrnn.data import make_dataset


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Make the strategy that `TrainConfig.strategy` names.

    Call this before TensorFlow computes anything. TF_CONFIG names several machines, or Slurm's
    variables do if a job runs several tasks. Without a GPU, 'mirrored' takes the logical CPUs.

    Raises:
        UserError: no such devices, or a cluster that cannot be read.
    """
    try:
        return MAKERS[name]()
    except (ValueError, KeyError, RuntimeError, OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"`train.strategy` {name} cannot be set up: {reason}") from None


def _mirrored():
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return tf.distribute.MirroredStrategy(
        [device.name for device in tf.config.list_logical_devices(kind)]
    )


def _multi_worker():
    if "TF_CONFIG" in os.environ:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    elif "SLURM_PROCID" in os.environ:
        resolver = slurm_resolver()
    else:
        raise ValueError("neither TF_CONFIG nor Slurm's variables are set")
    # Without a cluster, TensorFlow would make one local worker that is never the first.
    if not resolver.cluster_spec().jobs or resolver.task_type is None:
        raise ValueError("TF_CONFIG must name a cluster and this worker's task")
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def slurm_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Return the cluster in Slurm's variables, with a node's GPUs divided among its tasks."""
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver
    if tf.config.list_physical_devices("GPU"):
        return resolver()
    # The resolver cannot count zero GPUs. 1024 are enough, as no node has more tasks.
    return resolver(gpus_per_node=1024, gpus_per_task=1, auto_set_gpu=False)


def _tpu():
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    return tf.distribute.TPUStrategy(resolver)


MAKERS = {
    "one_device": tf.distribute.get_strategy,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
    "tpu": _tpu,
}


def distributed_dataset(
    strategy: tf.distribute.Strategy, config: Config, start: int
) -> tf.distribute.DistributedDataset:
    """Make the training batches from video `start` on, divided over the replicas in order.

    Replica r of n has rows `r B / n` to `(r + 1) B / n` of each batch of B.

    Raises:
        UserError: a batch that does not divide into equal parts for replicas and portions.
    """
    replicas = strategy.num_replicas_in_sync
    if config.data.batch_size % (replicas * config.train.accumulate):
        raise UserError(
            f"`data.batch_size` must divide into {replicas} replicas times "
            f"{config.train.accumulate} portions. Received: {config.data.batch_size}"
        )

    def make(context):
        workers = context.num_input_pipelines
        return make_dataset(
            config.data,
            config.model,
            "train",
            start,
            shard=(context.input_pipeline_id, workers),
            parts=replicas // workers,
        )

    return strategy.distribute_datasets_from_function(make)


class Workers:
    """The processes of a run, including this one. All must make the same calls in the same order.

    Args:
        strategy: from `make_strategy`.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self.several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self.is_chief = not self.several or _is_first(strategy.cluster_resolver)
        replicas = strategy.num_replicas_in_sync

        def mean(value):
            replica = tf.distribute.get_replica_context()
            # A copy lies on the replica's device. An argument lies on none, and is refused.
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(value)) / replicas

        @tf.function(autograph=False)
        def means(value):
            return strategy.experimental_local_results(strategy.run(mean, args=(value,)))

        self._means = means

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any worker."""
        return self._mean(float(flag)) > 0 if self.several else flag

    def check_same_step(self, step: int) -> None:
        """Raise UserError unless all workers continue from the same step."""
        # A worker whose step is the mean must fail with the others.
        if self.several and self.any(self._mean(float(step)) != step):
            raise UserError(
                f"all workers must continue from one step. This worker found step {step}, another "
                "worker found a different one: do all see the same run folder?"
            )

    def _mean(self, value: float) -> float:
        # float64 holds every step number exactly.
        return float(self._means(tf.constant(value, tf.float64))[0])


def _is_first(resolver) -> bool:
    """Return whether this process writes the run's files: the chief, else the first worker."""
    if resolver.task_type == "chief":
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    return resolver.task_type == "worker" and resolver.task_id == 0 and not has_chief
