"""The interface of every model, on which training, sampling, evaluation and serving rely."""

import numbers
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import keras
from keras import ops

from tfvrnn import presets, sampling
from tfvrnn.config import DataConfig, UserError, expanded
from tfvrnn.models.fitting import Fitting
from tfvrnn.models.scheduled_sampling import scheduled_options
from tfvrnn.sampling import arguments
from tfvrnn.tensor_ops import Tensor, to_float

GENERATOR = "seed_generator"  # name of its state in a file
ACTIVE_NATS = 0.01  # nats per frame, above which a latent channel is in use


class VideoPredictor(Fitting):
    """Predicts the frames that follow `context_frames` given ones.

    The model is a pure function of weights, frames and noise. The caller makes the noise: a list of
    float32 standard normals, one per latent level, coarsest first (see `noise_shapes`). Frames are
    float `[B, T, H, W, C]`, pixels in [0, 1]. A state is a nested tuple of batch-major tensors.
    `step` is `draw`, `render`, `observe`. A rollout is `begin` and any number of steps.

    It is also a Keras model on TensorFlow, JAX and PyTorch: `compile`, `fit`, `evaluate`,
    `generate`, `predict`, `save`. These also take uint8 frames. Without given noise or seeds, they
    draw from the model's own generator, except `predict`, which has a `seed`.

    Args:
        horizon: int, default horizon of `predict` and `generate`.
        seed: int, of the model's own generator.
        **kwargs: of `keras.Model`: name, dtype.

    Attributes:
        presets: {name: description} of the models that come with the package.
        context_frames: int, n_ctx.
        image_shape: (H, W, C).
        context_draws: int, context steps that take noise too. They come first in the noise.
        latent_resolutions: tuple of int, the levels' resolutions; () if deterministic.
        rollouts: compiled rollouts, cached by the samplers.
    """

    presets = presets.SHIPPED
    context_frames: int
    image_shape: tuple[int, int, int]
    context_draws: int = 0

    def __init__(self, horizon: int = DataConfig.horizon, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.horizon = arguments.at_least_1("horizon", horizon)
        self.seed = int(seed) if isinstance(seed, numbers.Integral) else seed
        self.seed_generator = keras.random.SeedGenerator(_for_generator(self.seed))
        self.rollouts = SimpleNamespace()

    def noise_shapes(self, batch: int, steps: int) -> list[tuple[int, ...]]:
        """Return the noise's shapes for `steps` predicted frames, `[B, steps, r, r, Z]` per level.

        `context_draws` further steps come first. A deterministic model returns [].
        """
        raise NotImplementedError

    def training_terms(
        self, frames: Tensor, noise: Sequence[Tensor], training: bool = False
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the terms of the negative ELBO, and the predictions under teacher forcing.

        Args:
            frames: float `[B, T, H, W, C]`, context first.
            noise: list of standard normals, shaped as `noise_shapes(B, T - n_ctx)`.
            training: bool, for layers that differ in training.

        Returns:
            (terms, predictions). terms: dict of float32 `[B]`: 'reconstruction' and one
            'kl_<resolution>' per level, summed over time. The KL is in nats. So is the
            reconstruction, summed over pixels, unless `mean_over_pixels`. predictions:
            float32 `[B, T - n_ctx, H, W, C]`, from the posterior's samples.
        """
        raise NotImplementedError

    def reconstruction_term(self, frames: Tensor, predictions: Tensor) -> Tensor:
        """Compute the reconstruction term of given predictions, float32 `[B]`.

        This is for baselines, such as copying the last frame. Frames and predictions are
        `[B, T - n_ctx, H, W, C]` in [0, 1].
        """
        raise NotImplementedError

    def infer_latents(
        self, frames: Tensor, noise: Sequence[Tensor]
    ) -> tuple[list[Tensor], dict[int, Any]]:
        """Draw the posterior's samples of the predicted frames, with KL(posterior || prior).

        Returns:
            (latents, kl). latents: list of float32 `[B, T - n_ctx, r, r, Z]`, one per level, which
            `render` takes step by step. kl: same as from `latent_kl`.
        """
        raise NotImplementedError

    def latent_kl(self, frames: Tensor, noise: Sequence[Tensor]) -> dict[int, Any]:
        """Compute the KL before `training_terms` sums it, in nats.

        Returns:
            {resolution: float32 `[B, T - n_ctx, r, r, Z]`}. `context_draws` further steps come
            first, as in the noise.
        """
        return self.infer_latents(frames, noise)[1]

    def channel_nats(self, frames: Tensor, noise: Sequence[Tensor]) -> dict[int, Any]:
        """Compute the KL of every latent channel in nats per frame, {resolution: float32 `[B, Z]`}.

        The KL is summed over pixels and averaged over time. A channel is in use if its mean over
        videos is above `ACTIVE_NATS`.

        Source: after Burda et al., "Importance Weighted Autoencoders", 2016. There, a unit is
        active if the posterior's mean varies; here, if its KL is not zero.
        """
        return {
            resolution: ops.mean(ops.sum(kl_BTHWZ, axis=(2, 3)), axis=1)
            for resolution, kl_BTHWZ in self.latent_kl(frames, noise).items()
        }

    def begin(self, context: Tensor, noise: Sequence[Tensor] | None = None) -> Any:
        """Return the state after the context `[B, n_ctx, H, W, C]`.

        `noise` holds the `context_draws` steps of every level. None takes latents at their means.
        """
        raise NotImplementedError

    def draw(
        self, state: Any, noise: Sequence[Tensor] | None, mean: bool = False
    ) -> tuple[Any, list[Tensor]]:
        """Draw the prior's latents of the next frame; return (state, latents).

        `noise` is a list of `[B, r, r, Z]`, or None with `mean`, which takes every latent at
        its mean.
        """
        raise NotImplementedError

    def render(self, state: Any, latents: Sequence[Tensor]) -> tuple[Any, Tensor]:
        """Make the next frame from its latents; return (state, float32 `[B, H, W, C]`)."""
        raise NotImplementedError

    def observe(self, state: Any, frame: Tensor) -> Any:
        """Return the state after seeing `frame` `[B, H, W, C]`."""
        raise NotImplementedError

    def step(
        self, state: Any, noise: Sequence[Tensor] | None, mean: bool = False
    ) -> tuple[Any, Tensor]:
        """Draw, render and observe the next frame; return (state, frame)."""
        state, latents = self.draw(state, noise, mean)
        state, frame = self.render(state, latents)
        return self.observe(state, frame), frame

    # The interface of a Keras model.

    def call(
        self, frames: Tensor, noise: Sequence[Tensor] | None = None, training: bool = False
    ) -> tuple[dict[str, Any], Any]:
        """Return `training_terms` of float or uint8 frames. Without noise, draw it here."""
        self.check_frames(frames)
        frames = to_float(frames)
        batch, steps = ops.shape(frames)[0], frames.shape[1] - self.context_frames
        if noise is None:
            noise = self.draw_noise(batch, steps)
        options = {}
        if training and self.objective.scheduled_sampling:
            own = self.draw_choices(batch, steps)
            mode = self.objective.scheduled_mode
            options = scheduled_options(self, frames, own, noise, mode)
        return self.training_terms(frames, noise, training, **options)

    def draw_choices(self, batch: int | Tensor, steps: int) -> Tensor:
        """Draw which frames `fit` takes from the model itself, bool `[batch, steps]`."""
        drawn = keras.random.uniform((batch, steps), dtype="float32", seed=self.seed_generator)
        return drawn < self.objective.scheduled_sampling

    def draw_noise(self, batch: int | Tensor, steps: int) -> list:
        """Draw noise of `noise_shapes(batch, steps)` from the model's own generator."""
        return [
            keras.random.normal(shape, dtype="float32", seed=self.seed_generator)
            for shape in self.noise_shapes(batch, steps)
        ]

    def generate(
        self,
        context: Tensor,
        horizon: int | None = None,
        seeds: Any = None,
        mean: bool = False,
        temperature: float = 1.0,
    ) -> Any:
        """Draw futures of contexts, see `tfvrnn.sampling.sample_videos`.

        Args:
            context: `[B, n_ctx, H, W, C]`, uint8 or float in [0, 1].
            horizon: frames to predict, any number. None: the model's own.
            seeds: int `[B]`, or `[B, S]` for S futures per context. None draws one seed per
                context from the model's own generator.
            mean: whether every latent is at its mean.
            temperature: standard deviation of the prior's noise.

        Returns:
            float32 `[B, horizon, H, W, C]`, or `[B, S, horizon, H, W, C]`.

        Raises:
            ValueError: arguments that do not fit the model or each other.
        """
        horizon = self.horizon if horizon is None else horizon
        horizon = arguments.at_least_1("horizon", horizon)
        context = arguments.as_array(context)
        if seeds is None and not mean:
            arguments.check(self, context, None, True, temperature)  # before the generator advances
            drawn = keras.random.randint((len(context),), 0, 2**31 - 1, seed=self.seed_generator)
            seeds = ops.convert_to_numpy(drawn)
        return sampling.sample_videos(self, context, horizon, seeds, mean, temperature)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: None = None,
        *,
        horizon: int | None = None,
        seed: int = 0,
    ) -> Any:
        """Draw one seeded future per context. Row i has the seed `seed + i`.

        Args:
            x: contexts `[N, n_ctx, H, W, C]`, uint8 or float in [0, 1], or an iterable of batches
                of them, such as a `tf.data.Dataset` or a PyTorch `DataLoader`.
            batch_size: rows at once. None: 32. The futures do not depend on it.
            verbose: 0 hides the progress bar.
            steps: batches to take. None: all.
            callbacks: None. They are not called here.
            horizon: frames to predict. None: the model's own.
            seed: of row 0.

        Returns:
            NumPy float32 `[N, horizon, H, W, C]`.

        Raises:
            ValueError: no contexts, contexts that do not fit the model, a horizon, batch size or
                number of steps below 1, or callbacks.
        """
        if callbacks:
            raise ValueError("`predict` calls no `callbacks`: they must be None.")
        horizon = self.horizon if horizon is None else horizon
        batch_size = 32 if batch_size is None else batch_size
        return sampling.predict_videos(self, x, horizon, seed, batch_size, verbose, steps)

    def predict_on_batch(self, x: Any) -> Any:
        """Predict one batch, see `predict`."""
        return self.predict(x, batch_size=len(x), verbose=0)

    def save(self, filepath: str | Path, *args, **kwargs) -> None:
        """Save to a .keras file. Same as `keras.Model.save`.

        Raises:
            ValueError: an HDF5 file, which `keras.saving.load_model` could not load.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            hint = "`save_weights` writes .weights.h5"
            raise ValueError(f"`filepath` must end in .keras. Received: {filepath}; {hint}")
        super().save(filepath, *args, **kwargs)

    def export(
        self, filepath: str | Path, *args, input_signature: list | None = None, **kwargs
    ) -> None:
        """Export the call. Same as `keras.Model.export`.

        The exported call returns the terms and 'predictions' by name. Without a signature, it takes
        float32 videos of the model's own horizon.

        Raises:
            RuntimeError: on PyTorch, where Keras cannot trace the model.
        """
        if keras.backend.backend() == "torch":
            raise RuntimeError(
                "`export` needs TensorFlow or JAX. Received: PyTorch; save to a .keras file here, "
                "and export it there"
            )
        if input_signature is None:
            shape = (None, self.context_frames + self.horizon, *self.image_shape)
            input_signature = [keras.InputSpec(shape=shape, dtype="float32")]
        _Named(self).export(filepath, *args, input_signature=input_signature, **kwargs)

    @classmethod
    def from_preset(cls, name: str | Path, dtype: str = "float32") -> Self:
        """Load a model with its weights.

        Args:
            name: one of `presets`, a folder that `save_to_preset` wrote, or `hf://owner/name`.
            dtype: dtype policy, 'float32', 'mixed_bfloat16' or 'mixed_float16'.

        Raises:
            UserError: no such preset, it cannot be read or downloaded, or it holds another class.
        """
        policy = keras.dtype_policies.get(dtype)
        preset = presets.read(folder := presets.find(name))
        registered = str(preset.config.get("registered_name"))
        kind = keras.saving.get_registered_object(registered)
        # Whatever a file names, build no other class.
        if not (isinstance(kind, type) and issubclass(kind, cls)):
            hint = "" if kind else "; import the module that defines it"
            raise UserError(f"{folder} holds no {cls.__name__}: its class is {registered}{hint}")
        try:
            config = {**preset.config, "config": {**preset.config["config"], "dtype": policy}}
            config["compile_config"] = {}  # a preset is to be compiled anew
            model = keras.saving.deserialize_keras_object(config)
            model.set_weights(preset.weights)
        except (
            TypeError, ValueError, LookupError, AttributeError, ArithmeticError, MemoryError,
        ) as error:  # fmt: skip
            reason = str(error).partition("\n")[0][:200]
            raise UserError(f"{folder} holds no {cls.__name__}: {reason}") from None
        return model

    def save_to_preset(
        self, folder: str | Path, dtype: str = "float32", card: str = "", step: int = 0
    ) -> None:
        """Write the model with its weights into a folder, for `from_preset`.

        Args:
            folder: created if it is missing. An earlier preset in it is replaced.
            dtype: of the weights in the file, 'float32' or 'float16' (half the size, rounded).
            card: text of README.md, the model card. Empty: an existing card stays, and a missing
                one is written in short.
            step: steps of training, noted in the file.

        Raises:
            ValueError: another dtype, weights beyond float16, or the folder is that of a run with
                checkpoints.
            OSError: the folder cannot be written.
        """
        config = {**keras.saving.serialize_keras_object(self), "compile_config": {}}
        default = self._card()
        presets.write(expanded(folder), config, self.get_weights(), card, default, step, dtype)

    def _card(self) -> str:
        height, width, channels = self.image_shape
        return presets.CARD.format(
            family=type(self).__name__,
            context=self.context_frames,
            shape=f"{height}x{width}x{channels}",
            parameters=self.count_params(),
        )

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        # Keras saves no generators: without this, a continued `fit` would repeat the first noise.
        store[GENERATOR] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store: Any) -> None:
        kept = {key: store[key] for key in store.keys()}  # noqa: SIM118 (it has keys only)
        state = kept.pop(GENERATOR, None)
        super().load_own_variables(kept)
        if state is not None:
            self.seed_generator.state.assign(_for_generator(ops.convert_to_numpy(state)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "horizon": self.horizon, "seed": self.seed}


def _for_generator(state: Any) -> Any:
    """Fit a seed or the state of a generator to the backend. PyTorch's has 31 bits."""
    on_torch = keras.backend.backend() == "torch"
    return state % 2**31 if on_torch and state is not None else state


class _Named(keras.Model):
    """A model whose outputs are one flat dictionary, as the signatures of exports require."""

    def __init__(self, model):
        super().__init__(name=model.name, autocast=False)
        self.model = model
        self.built = True

    def call(self, frames):
        terms, predictions = self.model(frames)
        return {**terms, "predictions": predictions}
