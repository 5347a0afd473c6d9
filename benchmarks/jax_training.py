"""Train a model for a number of minutes with Keras' JAX backend; used by accelerator.py.

Videos, noise and updates stay on the device: many steps are one compiled call. A step computes what
one of `tfvrnn train` computes, with other random numbers. `UNUSED` lists what is missing.
"""

import functools
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
from jax import numpy as jnp

from tfvrnn import files, presets
from tfvrnn.config import Config, UserError, require
from tfvrnn.models import build_model
from tfvrnn.models.objective import loss_terms
from tfvrnn.models.scheduled_sampling import scheduled_options
from tfvrnn.runs import RunFolder
from tfvrnn.runs.resume import check_init_from, start_from

STEPS_PER_CALL = 20
SAVE_SECONDS = 60.0
MOMENTUM, ADAM_BETA_1 = 0.95, 0.9  # of training.optimizer
ORTHOGONAL = (3.4445, -4.7750, 2.0315)  # Muon's polynomial, applied five times


class Progress(NamedTuple):
    """Everything that a step changes; lists follow `model.trainable_variables`.

    Attributes:
        values: trained weights.
        others: weights that are not trained, such as the scale of a likelihood.
        averages: moving averages of `values + others`; none if there are no averages.
        momentum, velocity: of the optimizer.
        step: int32, steps taken.
    """

    values: list
    others: list
    averages: list
    momentum: list
    velocity: list
    step: jax.Array


UNUSED = {  # options that this training does not have
    "data": ("stride", "flip", "color_jitter", "crop", "service"),
    "train": ("weight_decay", "accumulate", "scale_learning_rate", "strategy", "deterministic"),
}


def train(config: Config, clips: Path, minutes: float, out: Path) -> dict[str, Any]:
    """Train a model for `minutes`, compilation included, or for `train.steps`.

    Steps are taken in twenties. Writes a folder that `tfvrnn.load_run` reads, every minute and at
    the end, with OUT/log.jsonl. With `train.schedule=cosine` the learning rate falls with the time
    or the steps that are left.

    Returns:
        The last record of the log.

    Raises:
        UserError: an option that is not used here, weights or videos that do not fit, a folder
            that is not empty, or no time for any step.
    """
    begin = time.monotonic()
    settings = config.train
    check(config)
    if settings.init_from:
        check_init_from(config)
    require(not out.exists() or not any(out.iterdir()), "`out` must be empty.", out)
    videos = load_clips(clips, config)
    jax.config.update("jax_default_matmul_precision", "tensorfloat32")
    model = build(config, settings.precision)
    if settings.init_from:
        with on_cpu():
            start_from(config, model)
    progress = first_progress(model, averages=settings.average_decay > 0)
    key = jax.random.key(settings.seed)
    steps = jax.jit(make_steps(model, config, draw_clips), donate_argnums=0)
    steps = steps.lower(progress, videos, key, jnp.float32(0)).compile()
    out.mkdir(parents=True, exist_ok=True)
    first, saved, done, record = time.monotonic(), time.monotonic(), 0, {}
    print(f"compiled in {first - begin:.0f} s", flush=True)
    end = begin + 60 * minutes
    require(first < end, "`minutes` must be longer than the compilation.", f"{minutes} minutes")
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:
        while time.monotonic() < end and done < settings.steps:
            share = max((time.monotonic() - first) / (end - first), done / settings.steps)
            rate = learning_rate(settings, done, share)
            keys = jax.random.fold_in(key, done)
            progress, terms = steps(progress, videos, keys, jnp.float32(rate))
            done = int(progress.step)
            record = {"step": done, "seconds": round(time.monotonic() - first, 1), "rate": rate}
            record |= {name: round(float(term), 4) for name, term in terms.items()}
            print(json.dumps(record), file=log, flush=True)
            if time.monotonic() - saved > SAVE_SECONDS:
                saved = time.monotonic()
                save(model, config, progress, out)
    save(model, config, progress, out)
    return record


def check(config: Config) -> None:
    """Raise UserError if an option is given that this training does not have."""
    plain = Config()
    for part, names in UNUSED.items():
        for name in names:
            given = getattr(getattr(config, part), name)
            same = given == getattr(getattr(plain, part), name)
            require(same, f"`{part}.{name}` cannot be used here.", given)
    scaled = config.train.precision == "mixed_float16"
    require(not scaled, "`train.precision` cannot scale the loss here.", "mixed_float16")
    rule = "`train.schedule` must be constant or cosine here."
    require(config.train.schedule != "step", rule, "step")


def on_cpu():
    """Compute on the processor within this block: it compiles the many small operations sooner."""
    return jax.default_device(jax.devices("cpu")[0])


def on_device(variables) -> list:
    """Copy the values of Keras variables to the accelerator."""
    return [jax.device_put(jnp.copy(v.value), jax.devices()[0]) for v in variables]


def build(config: Config, precision: str):
    """Make the model of a configuration."""
    with on_cpu():
        return build_model(config.model, precision, config.train.seed, config.train.remat)


def learning_rate(settings, step: int, share: float) -> float:
    """Compute the learning rate after `share` of the time."""
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    return rate * min(1.0, (step + 1) / max(1, settings.warmup_steps))


def load_clips(path: Path, config: Config) -> dict[str, jax.Array]:
    """Load the videos of a file of clips.py onto the device.

    The file holds `frames`, uint8 `[N, T, H, W, C]`, or the plans of moving digits: `images`,
    float32 `[M, P, P]`, `chosen`, int `[N, D]`, and `positions`, int `[N, T, D, 2]` of their top
    left corners.

    Raises:
        UserError: no such file, another one, or videos that do not fit the model.
    """
    try:
        arrays = files.read_arrays(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    shown = arrays.get("frames", arrays.get("positions"))
    require(shown is not None, f"{path} must be a file of clips.py.", ", ".join(arrays))
    side = 2 * arrays["images"].shape[-1] if "images" in arrays else 0
    sides = (side, side, 1) if side else shown.shape[2:]
    rule = f"{path} must hold videos of {config.model.image_shape} that are long enough."
    fits = sides == config.model.image_shape and shown.shape[1] >= config.frames
    require(fits, rule, f"{shown.shape[1]} frames of {sides}")
    return {name: jnp.asarray(array) for name, array in arrays.items()}


def draw_clips(videos: dict[str, jax.Array], key, batch: int, length: int):
    """Draw windows of `length` frames from `load_clips`: float32 `[batch, length, H, W, C]`."""
    shown = videos.get("frames", videos.get("positions"))
    keys = jax.random.split(key)
    numbers = jax.random.randint(keys[0], (batch,), 0, len(shown))
    begins = jax.random.randint(keys[1], (batch,), 0, shown.shape[1] - length + 1)

    def window(number, begin):
        return jax.lax.dynamic_slice_in_dim(shown[number], begin, length)

    cut = jax.vmap(window)(numbers, begins)
    if "frames" in videos:
        return cut.astype("float32") / 255.0
    return paint(videos["images"][videos["chosen"][numbers]], cut)


def paint(images, positions):
    """Paint moving digits as `tfvrnn.data.smmnist` does: float32 `[B, T, 2 P, 2 P, 1]`."""
    patch = images.shape[-1]
    places = positions.astype("int32")[..., None] + jnp.arange(patch)
    rows, columns = jnp.moveaxis(jax.nn.one_hot(places, 2 * patch), 3, 0)
    video = jnp.einsum("btdpy,bdpq,btdqx->btyx", rows, images, columns, precision="highest")
    return jnp.round(jnp.clip(video, 0.0, 1.0) * 255.0)[..., None] / 255.0


def first_progress(model, averages: bool = False) -> Progress:
    """Make the progress of a model that has not been trained, with moving averages or without."""
    values, others = on_device(model.trainable_variables), on_device(untrained(model))
    averages = [jnp.copy(v) for v in values + others] if averages else []
    momentum, velocity = ([jnp.zeros_like(v) for v in values] for _ in range(2))
    return Progress(values, others, averages, momentum, velocity, jnp.int32(0))


def untrained(model) -> list:
    """Return the weights that are not trained, without the states of random generators."""
    return [v for v in model.weights if not v.trainable]


def make_steps(model, config: Config, draw, count: int = STEPS_PER_CALL):
    """Make `(progress, videos, key, learning rate) -> (progress, mean terms)` of `count` steps.

    `draw(videos, key, batch, length)` draws their frames. The videos are an argument: as constants
    they would be part of the program.
    """
    settings, batch, horizon = config.train, config.data.batch_size, config.data.horizon
    shapes = model.noise_shapes(batch, horizon)
    gradients_of = jax.value_and_grad(make_loss(model, settings, horizon), has_aux=True)

    def one(progress, videos, key, rate):
        clip, choice, *levels = jax.random.split(key, 2 + len(shapes))
        frames = draw(videos, clip, batch, config.frames)
        own = jax.random.bernoulli(choice, settings.scheduled_sampling, (batch, horizon))
        noise = [jax.random.normal(k, shape) for k, shape in zip(levels, shapes)]
        ramp = max(1, settings.beta_warmup_steps)
        beta = settings.beta * jnp.minimum(1.0, (progress.step + 1) / ramp)
        inputs = progress.values, progress.others, frames, own, noise, beta
        (_, (terms, others)), gradients = gradients_of(*inputs)
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in gradients))
        if settings.clip_norm:
            gradients = [g * jnp.minimum(1.0, settings.clip_norm / norm) for g in gradients]
        values, momentum, velocity = update(progress, gradients, rate, settings)
        averages = averaged(progress.averages, values + others, settings.average_decay)
        new = Progress(values, others, averages, momentum, velocity, progress.step + 1)
        return if_finite(norm, new, progress), terms | {"gradient_norm": norm}

    def steps(progress, videos, key, rate):
        keys = jax.random.split(key, count)
        progress, terms = jax.lax.scan(lambda p, k: one(p, videos, k, rate), progress, keys)
        return progress, jax.tree.map(jnp.mean, terms)

    return steps


def if_finite(norm, new: Progress, old: Progress) -> Progress:
    """Return the new progress, or count only the step if the gradient's norm is not finite."""
    old = old._replace(step=new.step)
    return jax.tree.map(functools.partial(jnp.where, jnp.isfinite(norm)), new, old)


def averaged(averages: list, weights: list, decay: float) -> list:
    """Move averages towards the weights, if there are any."""
    return [decay * average + (1.0 - decay) * new for average, new in zip(averages, weights)]


def make_loss(model, settings, horizon: int):
    """Make the loss, a function of the weights, with its terms and the weights not trained."""
    free_nats = settings.free_nats * model.counted_frames(horizon)

    def loss(values, others, frames, own, noise, beta):
        mapping = [*zip(model.trainable_variables, values)]
        mapping += zip(untrained(model), others)
        with keras.StatelessScope(state_mapping=mapping) as scope:
            options = {}
            if settings.scheduled_sampling:
                options = scheduled_options(model, frames, own, noise, settings.scheduled_mode)
            terms, predictions = model.training_terms(frames, noise, training=True, **options)
            terms = loss_terms(terms, beta, free_nats, settings.fine_beta)
            if model.calibrated:
                future = frames[:, model.context_frames :]
                error = model.likelihood.mean_error(future, jax.lax.stop_gradient(predictions))
                model.likelihood.error.assign(model.likelihood.followed(error))
        others = [scope.get_current_value(v) for v in untrained(model)]
        return terms["loss"], (terms, others)

    return loss


def update(progress: Progress, gradients: list, rate, settings):
    """Take a step of `training.optimizer`'s Muon or Adam: (values, momentum, velocity).

    Muon's kernels of one shape are computed at once.
    """
    muon = settings.optimizer == "muon"
    values, momentum, velocity = (
        [*group] for group in (progress.values, progress.momentum, progress.velocity)
    )
    count = progress.step + 1.0
    kernels: dict[tuple[int, ...], list[int]] = {}
    for k, gradient in enumerate(gradients):
        if muon and gradient.ndim > 1:
            momentum[k] = MOMENTUM * momentum[k] + gradient
            kernels.setdefault(gradient.shape, []).append(k)
            continue
        beta = settings.adam_beta_2
        momentum[k] = ADAM_BETA_1 * momentum[k] + (1.0 - ADAM_BETA_1) * gradient
        velocity[k] = beta * velocity[k] + (1.0 - beta) * gradient**2
        size = rate * jnp.sqrt(1.0 - beta**count) / (1.0 - ADAM_BETA_1**count)
        values[k] -= size * momentum[k] / (jnp.sqrt(velocity[k]) + settings.adam_epsilon)
    for shape, members in kernels.items():
        towards = jnp.stack([gradients[k] + MOMENTUM * momentum[k] for k in members])
        matrices = orthogonal(towards.reshape(len(members), -1, shape[-1]))
        matrices *= 0.2 * rate * math.sqrt(max(matrices.shape[1:]))
        for k, matrix in zip(members, matrices):
            values[k] -= matrix.reshape(shape)
    return values, momentum, velocity


def orthogonal(matrices):
    """Bring all singular values of each matrix `[N, rows, columns]` near 1."""
    a, b, c = ORTHOGONAL
    tall = matrices.shape[1] > matrices.shape[2]
    x = jnp.swapaxes(matrices, 1, 2) if tall else matrices
    x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + 1e-7)
    for _ in range(5):
        square = x @ jnp.swapaxes(x, 1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return jnp.swapaxes(x, 1, 2) if tall else x


def save(model, config: Config, progress: Progress, out: Path) -> None:
    """Write the averages if there are any, else the weights, as `runs.keep_weights` does."""
    chosen = progress.averages or progress.values + progress.others
    for variable, value in zip(model.trainable_variables + untrained(model), chosen):
        variable.assign(value)
    fits = presets.fit_float16([np.asarray(value) for value in chosen])
    model.save_to_preset(out, "float16" if fits else "float32", step=int(progress.step))
    RunFolder(out).write_config(config)
