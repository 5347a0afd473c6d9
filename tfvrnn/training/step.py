"""The compiled train step."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from tfvrnn import sampling
from tfvrnn.config import Config
from tfvrnn.models import VideoPredictor
from tfvrnn.models.objective import loss_terms
from tfvrnn.models.reconstruction import Likelihood, bits_per_dimension
from tfvrnn.models.scheduled_sampling import scheduled_options
from tfvrnn.tensor_ops import to_float
from tfvrnn.training.optimizer import MovingAverages, ramp


def is_compiled(config: Config) -> bool:
    """Return whether XLA compiles the train step: `train.jit_compile`; auto means on accelerators.

    On a CPU the step is slower with XLA, and its compilation takes minutes.
    """
    wanted = config.train.jit_compile
    if wanted is None:
        return bool(tf.config.list_physical_devices("GPU") or tf.config.list_logical_devices("TPU"))
    return wanted


def make_train_step(
    model: VideoPredictor,
    optimizer: keras.optimizers.Optimizer,
    config: Config,
    averages: MovingAverages | None = None,
) -> Callable:
    """Make the train step `step(frames, step_number) -> metrics`, one `tf.function`.

    Call this in the scope of the strategy that made the model and the optimizer. `frames` are uint8
    `[batch_size, T, H, W, C]`, divided over the replicas. `step_number` is int64, from 0. The noise
    is a function of (seed, step number, place in the batch). So a resumed run continues as if it
    had never stopped, and the noise does not depend on the number of replicas. Metrics are float32
    scalars: those of `loss_terms`, beta, learning_rate, gradient_norm, and loss_scale under
    mixed_float16.
    """
    strategy = tf.distribute.get_strategy()
    replica_step = _make_replica_step(model, optimizer, config)

    @tf.function(autograph=False)
    def train_step(frames, step):
        found = strategy.run(replica_step, args=(frames, step))
        # Equal on all replicas.
        metrics, errors = tf.nest.map_structure(
            lambda x: strategy.experimental_local_results(x)[0], found
        )
        for error in errors:
            follow(model.likelihood, error, strategy)
        if averages:
            averages.update()
        return metrics

    return train_step


def _make_replica_step(model, optimizer, config: Config) -> Callable:
    """Make `(frames, step) -> (metrics, mean errors)`: one replica's step, with its update."""
    data, settings = config.data, config.train
    strategy = tf.distribute.get_strategy()
    rows = data.batch_size // strategy.num_replicas_in_sync
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    inner = optimizer.inner_optimizer if scaled else optimizer
    compute = _make_gradients(model, optimizer, config)
    if is_compiled(config):
        compute = tf.function(compute, jit_compile=True, autograph=False)

    def replica_step(frames, step):
        replica = tf.distribute.get_replica_context()
        places = rows * replica.replica_id_in_sync_group + tf.range(rows)
        noise = sampling.training_noise(model, places, data.horizon, settings.seed, step)
        own = []
        if probability := settings.scheduled_sampling:
            own.append(
                sampling.training_choices(places, data.horizon, probability, settings.seed, step)
            )
        beta = settings.beta * ramp(step, settings.beta_warmup_steps)
        scale = tf.identity(optimizer.dynamic_scale) if scaled else tf.constant(1.0)
        found = compute(frames, own, noise, beta)
        gradients, metrics, errors = replica.all_reduce(tf.distribute.ReduceOp.MEAN, found)
        metrics |= {
            "beta": beta,
            "learning_rate": tf.convert_to_tensor(inner.learning_rate),
            "gradient_norm": tf.linalg.global_norm(gradients) / scale,
        }
        if scaled:
            metrics["loss_scale"] = scale
        if gradients:  # copy_last has nothing to learn
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return metrics, errors

    return replica_step


def follow(likelihood: Likelihood, error: tf.Tensor, strategy: tf.distribute.Strategy) -> None:
    """Update a likelihood's scale by a batch's mean error. Call it outside of replicas."""
    scale, followed = likelihood.error.value, likelihood.followed(error)
    strategy.extended.update(scale, lambda s, new: s.assign(new), args=(followed,))


def _make_gradients(model, optimizer, config: Config) -> Callable:
    """Make `(frames, own, noise, beta) -> (gradients of the scaled loss, terms, mean errors)`.

    With `train.accumulate` above 1, the function computes in equal portions. `own` is empty, or
    holds bool `[B, horizon]`: where the model sees its own prediction instead of the true frame,
    see `scheduled_options`. The mean errors are those of `Likelihood.mean_error`: one for a
    calibrated model, none for another.
    """
    free_nats = config.train.free_nats * model.counted_frames(config.data.horizon)
    mode, fine_beta = config.train.scheduled_mode, config.train.fine_beta

    def whole(frames, own, noise, beta):
        frames, options = to_float(frames), {}
        if own:
            options = scheduled_options(model, frames, own[0], noise, mode)
        with tf.GradientTape() as tape:
            terms, predictions = model.training_terms(frames, noise, training=True, **options)
            terms = loss_terms(terms, beta, free_nats, fine_beta)
            loss = optimizer.scale_loss(terms["loss"])
        errors = []
        if model.calibrated:
            future = frames[:, model.context_frames :]
            errors.append(model.likelihood.mean_error(future, predictions))
        return tape.gradient(loss, model.trainable_variables), terms, errors

    portions = config.train.accumulate
    return whole if portions == 1 else _in_portions(whole, model, portions)


def _in_portions(whole: Callable, model, portions: int) -> Callable:
    """Make a function that computes `whole` in equal portions and returns their mean."""

    def in_portions(frames, own, noise, beta):
        size = frames.shape[0] // portions

        def add(index, sums):
            # Gather: a slice that begins at a tensor would lose its static shape under XLA.
            parts = [
                tf.gather(tf.reshape(x, (portions, size, *x.shape[1:])), index)
                for x in (frames, *own, *noise)
            ]
            found = whole(parts[0], parts[1 : 1 + len(own)], parts[1 + len(own) :], beta)
            return index + 1, tf.nest.map_structure(tf.add, sums, found)

        gradients = [tf.zeros_like(v) for v in model.trainable_variables]
        names = ["kl", "loss", "negative_elbo", "reconstruction"]
        names += [f"kl_{resolution}" for resolution in model.latent_resolutions]
        errors = [tf.zeros(model.image_shape[-1:])] if model.calibrated else []
        zeros = (gradients, {name: tf.constant(0.0) for name in names}, errors)
        _, sums = tf.while_loop(
            lambda index, _: index < portions,
            add,
            (0, zeros),
            parallel_iterations=1,
            maximum_iterations=portions,
        )
        return tf.nest.map_structure(lambda x: x / portions, sums)

    return in_portions


def per_unit(terms: dict[str, float], model: VideoPredictor, horizon: int) -> dict[str, float]:
    """Compute reconstruction and KL per counted frame, and per dimension of frame or latents.

    A calibrated model also gets bits per dimension.
    """
    frames = model.counted_frames(horizon)
    pixels = 1 if model.mean_over_pixels else math.prod(model.image_shape)
    latents = sum(math.prod(shape[2:]) for shape in model.noise_shapes(1, 1))
    units = {}
    for name, dimensions in (("reconstruction", pixels), ("kl", latents)):
        units[f"{name}_per_frame"] = terms[name] / frames
        units[f"{name}_per_dimension"] = terms[name] / (frames * max(1, dimensions))
    if model.calibrated:
        units["bits_per_dimension"] = bits_per_dimension(terms["negative_elbo"], frames * pixels)
    return units
