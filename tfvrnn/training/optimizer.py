"""Adam or Muon with schedule, decay, clipping and loss scaling; moving averages of weights."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfvrnn.config import TrainConfig


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate of a step: linear warm-up, then constant, a cosine to 0, or a drop.

    Step 0 of a warm-up over n steps goes 1/n of the way from `warmup_from` to the rate. The last
    step of a cosine has a rate of almost 0.

    Source: Loshchilov and Hutter, "SGDR", 2017, for the cosine, without restarts. The drop to a
    tenth is PredNet's, Lotter et al. 2016.

    Args:
        learning_rate: after the warm-up.
        warmup_steps: of the warm-up; 0: none.
        cosine_steps: steps of the whole run; 0: no cosine.
        drop_step: first step at a tenth of the rate; 0: no drop.
        warmup_from: rate from which the warm-up rises.
    """

    def __init__(
        self,
        learning_rate: float,
        warmup_steps: int = 0,
        cosine_steps: int = 0,
        drop_step: int = 0,
        warmup_from: float = 0.0,
    ):
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.cosine_steps = cosine_steps
        self.drop_step = drop_step
        self.warmup_from = warmup_from

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rate = tf.constant(self.learning_rate, tf.float32)
        if self.cosine_steps:
            length = max(1, self.cosine_steps - self.warmup_steps)
            progress = tf.clip_by_value((step - self.warmup_steps) / length, 0.0, 1.0)
            rate *= 0.5 * (1.0 + tf.cos(math.pi * progress))
        if self.drop_step:
            rate *= tf.where(step < self.drop_step, 1.0, 0.1)
        return self.warmup_from + (rate - self.warmup_from) * ramp(step, self.warmup_steps)

    def get_config(self) -> dict[str, float]:
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "cosine_steps": self.cosine_steps,
            "drop_step": self.drop_step,
            "warmup_from": self.warmup_from,
        }


def ramp(step: tf.Tensor, steps: int) -> tf.Tensor:
    """Compute a linear warm-up, (step + 1) / steps, at most 1, in float32."""
    if not steps:
        return tf.constant(1.0)
    return tf.minimum(1.0, (tf.cast(step, tf.float32) + 1.0) / steps)


class TakesReduced:
    """Mixin for an optimizer that gets the same gradients on all replicas.

    Keras' optimizers clip each replica's gradients, then sum them. The train step reduces them
    first, so that clipping and the loss scale see the whole batch's gradients.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return list(grads_and_vars)


class _Update(TakesReduced, keras.optimizers.Optimizer):
    """Shared extensions of the Keras optimizers.

    `coupled_decay` is L2: it is added to the gradient, whereas `weight_decay` shrinks the weights.
    Adam's update is TensorFlow's fused operation, one per variable. It gives the same numbers as
    Keras' own update, which traces 39 operations per variable. Those were half of the train step's
    graph, and took 10 of the 41 seconds to the first step at width 16.
    """

    def __init__(self, *args, coupled_decay=0.0, betas=(0.9, 0.999), **kwargs):
        super().__init__(*args, **kwargs)
        self.coupled_decay, self.betas = coupled_decay, betas

    def apply(self, grads, trainable_variables=None):
        # All variables share these tensors. Each plain number would become a tensor of its own.
        step = tf.cast(self.iterations + 1, tf.float32)
        beta1, beta2 = tf.constant(self.betas[0]), tf.constant(self.betas[1])
        self._constants = dict(
            beta1=beta1, beta2=beta2, epsilon=tf.constant(self.epsilon),
            beta1_power=tf.pow(beta1, step), beta2_power=tf.pow(beta2, step),
        )  # fmt: skip
        return super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        if self.coupled_decay:
            gradient += self.coupled_decay * variable
        self._update(gradient, variable, learning_rate)

    def _adam(self, gradient, variable, learning_rate, momentum, velocity):
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            lr=tf.cast(learning_rate, tf.float32),
            grad=gradient,
            **self._constants,
        )


class Adam(_Update, keras.optimizers.Adam):
    """Keras' Adam, or AdamW if `weight_decay` is given.

    Source: Kingma and Ba, "Adam", 2015; Loshchilov and Hutter, "Decoupled Weight Decay
    Regularization", 2019.
    """

    def _update(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        slots = self._momentums[index], self._velocities[index]
        self._adam(gradient, variable, learning_rate, *slots)


class Muon(_Update, keras.optimizers.Muon):
    """Keras' Muon, also for kernels. A kernel is flattened to a matrix of inputs by outputs.

    The update of a kernel is its momentum with all singular values brought near 1. It is scaled by
    0.2 sqrt(max(rows, columns)), so that it takes Adam's learning rate. Biases and scales take
    Adam's update.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; Liu et
    al., "Muon is Scalable for LLM Training", 2025, for the scale. Deviations: first and last
    layers are not excluded.
    """

    def _should_use_adamw(self, variable):
        return len(variable.shape) < 2

    def _update(self, gradient, variable, learning_rate):
        keras.optimizers.Muon.update_step(self, gradient, variable, learning_rate)

    def _adamw_update_step(self, gradient, variable, learning_rate, m, v):
        self._adam(gradient, variable, learning_rate, m, v)

    def zeropower_via_newtonschulz5(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        return tf.reshape(self._orthogonal(tf.reshape(x, (-1, x.shape[-1])), steps), x.shape)

    @tf.function(autograph=False)  # traced once for all kernels of a shape
    def _orthogonal(self, matrix, steps):
        return super().zeropower_via_newtonschulz5(matrix, steps)

    def lr_adjust(self, x: tf.Tensor) -> tf.Tensor:
        columns = x.shape[-1]
        return x * (self.rms_rate * math.sqrt(max(math.prod(x.shape[:-1]), columns)))


def make_schedule(config: TrainConfig, batch_size: int) -> WarmupSchedule:
    """Make the learning rate of a configuration, for `batch_size` videos over all replicas."""
    rate, warmup, warmup_from = config.learning_rate, config.warmup_steps, 0.0
    if config.scale_learning_rate:
        warmup_from = rate
        rate *= batch_size / 16
        warmup = warmup or math.ceil(5 * config.epoch_videos / batch_size)
    cosine = config.steps if config.schedule == "cosine" else 0
    drop = config.steps // 2 if config.schedule == "step" else 0
    return WarmupSchedule(rate, warmup, cosine, drop, warmup_from)


def make_optimizer(
    config: TrainConfig, batch_size: int = 16, initial_loss_scale: float = 1.0
) -> keras.optimizers.Optimizer:
    """Make the optimizer of a configuration, which scales the loss under mixed_float16.

    Args:
        config: of the training.
        batch_size: videos per step, over all replicas.
        initial_loss_scale: of mixed_float16, see `VideoPredictor`.
    """
    coupled = config.weight_decay_mode == "coupled"
    decay = None if coupled or not config.weight_decay else config.weight_decay
    options: dict[str, Any] = dict(
        betas=(0.9, config.adam_beta_2),
        epsilon=config.adam_epsilon,
        weight_decay=decay,
        coupled_decay=config.weight_decay if coupled else 0.0,
        global_clipnorm=config.clip_norm or None,
    )
    if config.optimizer == "muon":
        optimizer = Muon(make_schedule(config, batch_size), adam_weight_decay=decay, **options)
    else:
        optimizer = Adam(make_schedule(config, batch_size), **options)
    if config.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=initial_loss_scale)
    return optimizer


class MovingAverages:
    """Exponential moving averages of all of a model's weights, started at the weights.

    They include weights that are not trained, such as batch normalisation's moving statistics,
    because these belong to the trained weights beside them.

        average = decay * average + (1 - decay) * weight

    Args:
        model: a built model.
        decay: float in [0, 1).
    """

    def __init__(self, model: keras.Model, decay: float):
        self.decay = decay
        self.strategy = tf.distribute.get_strategy()
        self.weights = [weight.value for weight in model.weights]
        self.averages = [tf.Variable(weight, trainable=False) for weight in self.weights]

    def update(self) -> None:
        """Move towards the current weights. Traced into the train step, outside of replicas."""

        def take_in(average, weight):
            average.assign_sub((1.0 - self.decay) * (average - weight))

        for average, weight in zip(self.averages, self.weights):
            self.strategy.extended.update(average, take_in, args=(weight,), group=False)

    def restart(self, kept: Sequence[tf.Variable] = ()) -> None:
        """Set the averages, except those in `kept`, to the current weights."""
        for average, weight in zip(self.averages, self.weights):
            if not any(average is one for one in kept):
                average.assign(weight)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Set the model's weights to the averages within this block."""
        kept = [weight.numpy() for weight in self.weights]
        for average, weight in zip(self.averages, self.weights):
            weight.assign(average)
        try:
            yield
        finally:
            for value, weight in zip(kept, self.weights):
                weight.assign(value)
