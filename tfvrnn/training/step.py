"""The compiled train step."""

from collections.abc import Callable

import tensorflow as tf

from tfvrnn import sampling
from tfvrnn.config import Config
from tfvrnn.models import VideoPredictor
from tfvrnn.training.optimizer import MovingAverages, ramp


def to_float(frames):
    """uint8 frames as float32 in [0, 1]."""
    return tf.cast(frames, tf.float32) / 255.0


def loss_terms(terms: dict, beta) -> dict:
    """The loss, reconstruction + beta * KL, and what it is made of: means over the batch.

    Args:
        terms: as `VideoPredictor.training_terms` returns them.
        beta: weight of the KL.

    Returns:
        dict of float32 scalars in nats a video: loss, negative_elbo, reconstruction, kl and
        kl_<resolution>.
    """
    terms = {name: tf.reduce_mean(term) for name, term in terms.items()}
    reconstruction = terms.pop("reconstruction")
    kl = tf.add_n(list(terms.values())) if terms else tf.constant(0.0)
    return {
        "loss": reconstruction + beta * kl,
        "negative_elbo": reconstruction + kl,
        "reconstruction": reconstruction,
        "kl": kl,
        **terms,
    }


def make_train_step(
    model: VideoPredictor, optimizer, config: Config, averages: MovingAverages | None = None
) -> Callable:
    """The train step `step(frames, step_number) -> metrics`, one `tf.function`.

    `frames` uint8 `[batch_size, T, H, W, C]`; `step_number` int64, from 0. The noise is a
    function of (seed, step number), so that a resumed run goes on as if never stopped. Metrics
    are float32 scalars: those of `loss_terms`, beta, learning_rate, gradient_norm, and
    loss_scale under mixed_float16.
    """
    data, settings = config.data, config.train
    portion = data.batch_size // settings.accumulate
    variables = model.trainable_variables
    scaled = hasattr(optimizer, "dynamic_scale")
    adam = optimizer.inner_optimizer if scaled else optimizer

    def gradients(frames, noise, beta):
        with tf.GradientTape() as tape:
            terms, _ = model.training_terms(to_float(frames), noise, training=True)
            terms = loss_terms(terms, beta)
            loss = optimizer.scale_loss(terms["loss"])
        return tape.gradient(loss, variables), terms

    def accumulated(frames, noise, beta):
        """Means of gradients and terms over the batch's portions, one after the other."""

        def add(index, sums):
            rows = slice(index * portion, (index + 1) * portion)
            part = gradients(frames[rows], [z[rows] for z in noise], beta)
            return index + 1, tf.nest.map_structure(lambda a, b: a + b, sums, part)

        zeros = [tf.zeros_like(v) for v in variables], dict.fromkeys(_term_names(model), 0.0)
        zeros = tf.nest.map_structure(tf.convert_to_tensor, zeros)
        _, sums = tf.while_loop(
            lambda index, _: index < settings.accumulate, add, (0, zeros), parallel_iterations=1
        )
        return tf.nest.map_structure(lambda x: x / settings.accumulate, sums)

    compute = gradients if settings.accumulate == 1 else accumulated
    if settings.jit_compile:
        compute = tf.function(compute, jit_compile=True, autograph=False)

    @tf.function(autograph=False)
    def train_step(frames, step):
        noise = sampling.training_noise(model, data.batch_size, data.horizon, settings.seed, step)
        beta = settings.beta * ramp(step, settings.beta_warmup_steps)
        rate = adam.learning_rate
        scale = optimizer.dynamic_scale + 0.0 if scaled else tf.constant(1.0)
        grads, metrics = compute(frames, noise, beta)
        metrics |= {
            "beta": beta,
            "learning_rate": tf.convert_to_tensor(rate),
            "gradient_norm": tf.linalg.global_norm(grads) / scale,
        }
        if scaled:
            metrics["loss_scale"] = scale
        optimizer.apply_gradients(zip(grads, variables))
        if averages:
            averages.update()
        return metrics

    return train_step


def _term_names(model):
    levels = [f"kl_{resolution}" for resolution in model.latent_resolutions]
    return ["loss", "negative_elbo", "reconstruction", "kl", *levels]
