"""Define `compile`, `fit` and `evaluate` of every model, on any Keras backend."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
from keras import ops

from tfvrnn.config import TrainConfig
from tfvrnn.models import given_frames, keras_steps
from tfvrnn.models.objective import loss_terms
from tfvrnn.models.reconstruction import Likelihood
from tfvrnn.sampling import arguments
from tfvrnn.tensor_ops import Tensor, to_float

ITS_OWN = ("loss_weights", "metrics", "weighted_metrics")  # beside the loss


class Fitting(keras.Model):
    """A model with its own objective: `fit` and `evaluate` take frames without labels.

    Frames are `[B, T, H, W, C]`, uint8 or float in [0, 1]: an array, a `tf.data.Dataset`, a PyTorch
    `DataLoader`. The logs are means over the videos: loss, negative_elbo, reconstruction, kl and
    kl_<resolution>. The scale of a calibrated likelihood follows each batch of `fit`.

    Attributes:
        mean_over_pixels: bool, whether the reconstruction term is a mean error per pixel. Otherwise
            it is in nats, summed over the pixels.
        likelihood: None, or a `Likelihood` whose scale may follow the data, see `calibrated`.
        can_see_own_frames: bool, whether `training_terms` takes `seen` and `own`, for scheduled
            sampling.
    """

    context_frames: int
    image_shape: tuple[int, int, int]
    latent_resolutions: tuple[int, ...] = ()
    mean_over_pixels: bool = False
    can_see_own_frames: bool = False

    def __init__(self, **kwargs):
        # No autocast: the loss needs float32 frames under every policy.
        super().__init__(autocast=False, **kwargs)
        self.likelihood: Likelihood | Any = None
        # A plain holder: Keras tracks and saves nothing in it.
        self.objective = SimpleNamespace(
            beta=1.0,
            free_nats=0.0,
            fine_beta=1.0,
            scheduled_sampling=0.0,
            scheduled_mode="parallel",
            jit_compile="auto",
            means={},
        )

    @property
    def calibrated(self) -> bool:
        """Whether the reconstruction term is a log density, whose scale follows the data."""
        return self.likelihood is not None and self.likelihood.calibrated

    @property
    def initial_loss_scale(self) -> float:
        """Initial loss scale of mixed_float16.

        A loss in nats is a sum over pixels and frames. So the gradients of the last biases reach
        41,000 at 64x64 and 10 frames, and a larger scale would overflow float16, whose largest
        number is 65,504. Keras' own 2^15 would skip a dozen steps. A loss that is a mean over
        pixels has small gradients and keeps 2^15.
        """
        return 2.0**15 if self.mean_over_pixels else 1.0

    def compile(
        self,
        optimizer: Any = None,
        loss: None = None,
        *,
        beta: float = 1.0,
        free_nats: float = 0.0,
        fine_beta: float = 1.0,
        scheduled_sampling: float = 0.0,
        scheduled_mode: str = "parallel",
        jit_compile: bool | str = "auto",
        **kwargs,
    ) -> None:
        """Prepare for `fit` and `evaluate`.

        Args:
            optimizer: as of `keras.Model.compile`. None: Adam with the defaults of `tfvrnn train`.
            loss: None. The loss is the model's own.
            beta: weight of the KL.
            free_nats: KL per frame and level that costs nothing, see `loss_terms`.
            fine_beta: factor of beta for all latent levels but the coarsest.
            scheduled_sampling: probability that `fit` predicts a frame from the model's own
                prediction of the last one, see `scheduled_options`; only of a `VRNN`.
            scheduled_mode: 'parallel' or 'sequential', see there.
            jit_compile: 'auto' compiles with XLA on JAX, and on TensorFlow where it has a GPU.
            **kwargs: further ones of `keras.Model.compile`; loss and metrics are the model's own.

        Raises:
            ValueError: a loss or metrics, a negative beta, free_nats or fine_beta, an unknown mode,
                'sequential' for a model with `remat`, a scheduled_sampling outside [0, 1] or that
                the model does not have, or another `jit_compile`.
        """
        if jit_compile not in (True, False, "auto"):
            raise ValueError(f"`jit_compile` must be a bool or auto. Received: {jit_compile!r}")
        for name, value in {"loss": loss, **{k: kwargs.pop(k, None) for k in ITS_OWN}}.items():
            if value not in (None, [], (), {}):
                raise ValueError(f"The loss and the metrics are the model's own. Received: {name}")
        TrainConfig(  # checks them
            beta=float(beta),
            free_nats=float(free_nats),
            fine_beta=float(fine_beta),
            scheduled_sampling=float(scheduled_sampling),
            scheduled_mode=scheduled_mode,
            remat=getattr(self, "remat", False),
        )
        if scheduled_sampling and not self.can_see_own_frames:
            name = type(self).__name__
            raise ValueError(f"`scheduled_sampling` must be 0 for this model. Received: {name}")
        optimizer = keras.optimizers.get(optimizer or _default_optimizer())
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        wanted = kwargs.pop("auto_scale_loss", True)
        if self.dtype_policy.name == "mixed_float16" and wanted and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, self.initial_loss_scale)
        kwargs["auto_scale_loss"] = False
        super().compile(optimizer, jit_compile=jit_compile, **kwargs)
        # Build it now, so that a file saved before `fit` loads without a warning.
        if not optimizer.built:  # building a loss scale again would reset it
            optimizer.build(self.trainable_variables)
        names = ["negative_elbo", "reconstruction", "kl"]
        names += [f"kl_{resolution}" for resolution in self.latent_resolutions]
        means = {name: keras.metrics.Mean(name, dtype="float32") for name in names}
        self.objective = SimpleNamespace(
            beta=beta,
            free_nats=free_nats,
            fine_beta=fine_beta,
            scheduled_sampling=scheduled_sampling,
            scheduled_mode=scheduled_mode,
            jit_compile=jit_compile,
            auto_scale_loss=wanted,
            means=means,
        )

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        if not config:
            return config
        # Keep the value as given; the loading backend resolves 'auto'.
        own = {name: value for name, value in vars(self.objective).items() if name != "means"}
        return {**_portable(config), **own}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        **kwargs,
    ) -> keras.callbacks.History:
        """Train on frames. See `keras.Model.fit` for further arguments.

        Args:
            x: frames, see the class: an array, or what yields batches of them.
            y: None.
            batch_size: videos per batch, if `x` is an array. None: 32.
            epochs: passes over the data.
            verbose: 0 hides the progress bar.
            callbacks: list of `keras.callbacks.Callback`.
            validation_split: part of an array that is kept for validation.
            validation_data: as `x`, evaluated after every epoch.
            **kwargs: further ones of `keras.Model.fit`.

        Raises:
            ValueError: frames that do not fit the model, labels or weights. Nothing was changed.
        """
        given_frames.check_batch_size(batch_size)
        weights = (kwargs.get("sample_weight"), kwargs.get("class_weight"))
        given_frames.check_no_labels(y, *weights)
        if validation_data is not None:
            frames, *others = keras.utils.unpack_x_y_sample_weight(validation_data)
            given_frames.check_no_labels(*others)
            validation_data = given_frames.checked(frames, self.check_frames)
        return super().fit(
            given_frames.checked(x, self.check_frames),
            None,
            batch_size,
            epochs,
            verbose,
            callbacks,
            validation_split,
            validation_data,
            **kwargs,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        **kwargs,
    ) -> Any:
        """Compute the mean losses of frames. See `keras.Model.evaluate` for further arguments.

        Raises:
            ValueError: frames that do not fit the model, labels or weights.
        """
        given_frames.check_batch_size(batch_size)
        given_frames.check_no_labels(y, sample_weight)
        frames = given_frames.checked(x, self.check_frames)
        return super().evaluate(frames, None, batch_size, verbose, None, steps, **kwargs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Train one step on frames, see `keras.Model.train_on_batch`. Errors are those of `fit`."""
        given_frames.check_no_labels(y, sample_weight, class_weight)
        self.check_frames(x)
        return super().train_on_batch(x, return_dict=return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Compute the losses of one batch of frames. Errors are those of `evaluate`."""
        given_frames.check_no_labels(y, sample_weight)
        self.check_frames(x)
        return super().test_on_batch(x, return_dict=return_dict)

    def check_frames(self, frames: Any) -> None:
        """Raise ValueError unless `frames` are uint8 or float `[B, T, H, W, C]` that fit."""
        arguments.check_frames(self, frames)

    @property
    def metrics(self) -> Sequence[keras.Metric]:
        return [*super().metrics, *self.objective.means.values()]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        given_frames.check_no_labels(y, sample_weight)
        terms, predictions = y_pred
        objective = self.objective
        free_nats = objective.free_nats * self.counted_frames(predictions.shape[1])
        found = loss_terms(terms, objective.beta, free_nats, objective.fine_beta)
        rows = ops.shape(terms["reconstruction"])[0]
        for name, mean in self.objective.means.items():
            mean.update_state(ops.stop_gradient(found[name]), sample_weight=rows)
        if training and self.calibrated:
            future = to_float(x)[:, self.context_frames :]
            error = self.likelihood.mean_error(future, ops.stop_gradient(predictions))
            self.likelihood.error.assign(self.likelihood.followed(error))
        return found["loss"]

    def counted_frames(self, steps: int) -> int:
        """Count the frames that the terms sum over, for a video with `steps` predicted frames.

        It is more than `steps` where context steps count as well, and 1 for a mean over time.
        """
        return steps

    def make_train_function(self, force: bool = False) -> Any:
        if not self.trainable_variables:
            reason = "has nothing to learn, as no weight is trainable: only evaluate it"
            raise ValueError(f"{type(self).__name__} {reason}.")
        self._check_strategy()
        if self.train_function is None or force:
            self.train_function = keras_steps.step_function(self, super(), "train")
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        self._check_strategy()
        if self.test_function is None or force:
            self.test_function = keras_steps.step_function(self, super(), "test")
        return self.test_function

    def _check_strategy(self):
        """Raise ValueError on several TensorFlow replicas: they would draw the same noise."""
        strategy = getattr(self, "distribute_strategy", None)  # TensorFlow's trainer has one
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            raise ValueError(
                "On TensorFlow, `fit` and `evaluate` use one device; `tfvrnn train` uses several. "
                f"Received: {strategy.num_replicas_in_sync} replicas"
            )


def _default_optimizer() -> keras.optimizers.Optimizer:
    defaults = TrainConfig()
    return keras.optimizers.Adam(
        defaults.learning_rate, beta_2=defaults.adam_beta_2, epsilon=defaults.adam_epsilon
    )


def _portable(config):
    """Name a serialised optimizer by its public name.

    On PyTorch, Keras' optimizers have classes of their own. A file that names those could not be
    loaded without PyTorch.
    """
    if not isinstance(config, dict):
        return config
    config = {key: _portable(value) for key, value in config.items()}
    if str(config.get("module")).startswith("keras.src.backend.torch.optimizers"):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config
