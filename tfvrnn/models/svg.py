"""SVG: stochastic video generation with a learned prior (SVG-LP) or a fixed one (SVG-FP)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.config import require
from tfvrnn.distributions import DiagonalGaussian
from tfvrnn.models.checks import check_frames
from tfvrnn.models.svg_networks import SVGDecoder, SVGEncoder, normal
from tfvrnn.models.video_predictor import VideoPredictor
from tfvrnn.tensor_ops import Shape, Tensor

FEATURES, UNITS = 128, 256


class SVGState(NamedTuple):
    """The state of a rollout.

    Attributes:
        vector: the last frame's features `[B, 128]`.
        skips: the last context frame's maps.
        prior, predictor: (hidden, cell) `[B, 256]` of every layer.
    """

    vector: Any
    skips: tuple[Any, ...]
    prior: tuple[Any, ...]
    predictor: tuple[Any, ...]


@keras.saving.register_keras_serializable(package="tfvrnn")
class StackedLSTM(keras.layers.Layer):
    """A linear embedding, LSTM layers, and linear heads.

    Source: same as `SVG`, models/lstm.py; deviations: one bias per gate (PyTorch's two add up).

    Args:
        inputs: int, length of the input.
        layers: int, LSTM layers of 256 units.
        heads: tuple of int, lengths of the outputs.

    Call arguments:
        x: float `[B, inputs]`.
        states: tuple of (hidden, cell), one per layer.

    Returns:
        (list of the heads' outputs, states).
    """

    def __init__(self, inputs: int, layers: int, heads: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.layers_, self.heads_ = inputs, layers, tuple(heads)
        # Every weight has its own initializer, because one initializer repeats its values.
        self.embed = self._linear(UNITS, "embed")
        self.cells = [
            keras.layers.LSTMCell(
                UNITS,
                kernel_initializer=_uniform(),
                recurrent_initializer=_uniform(),
                bias_initializer=_uniform(),
                unit_forget_bias=False,
                dtype=self.dtype_policy,
                name=f"lstm_{number + 1}",
            )
            for number in range(layers)
        ]
        self.heads = [
            self._linear(units, f"head_{number + 1}") for number, units in enumerate(self.heads_)
        ]

    def _linear(self, units, name):
        return keras.layers.Dense(
            units, kernel_initializer=normal(), dtype=self.dtype_policy, name=name
        )

    def build(self, input_shape: Shape | None = None) -> None:
        self.embed.build((None, self.inputs))
        for layer in (*self.cells, *self.heads):
            layer.build((None, UNITS))
        # For `summary`, because Keras' cell does not say what it returns.
        for cell in self.cells:
            cell.output_shape = (None, UNITS)
        self.output_shape = (None, self.heads_[0])

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The parts in order of computation: the rows of `summary(expand_nested=True)`."""
        return [self.embed, *self.cells, *self.heads]

    def compute_output_shape(
        self, input_shape: Shape, states_shape: Any = None
    ) -> tuple[list[Shape], tuple[Any, ...]]:
        batch = input_shape[0]
        states = ((batch, UNITS), (batch, UNITS))
        return [(batch, units) for units in self.heads_], (states,) * len(self.cells)

    def call(self, x: Tensor, states: Sequence[Any]) -> tuple[list[Tensor], tuple[Any, ...]]:
        x, new_states = self.embed(x), []
        for cell, state in zip(self.cells, states):
            x, state = cell(x, list(state))
            new_states.append(tuple(state))
        return [head(x) for head in self.heads], tuple(new_states)

    def sequence(self, x: Tensor, states: Sequence[Any] | None = None) -> list[Tensor]:
        """Run all steps at once, equal to T calls: `[B, T, inputs]` to heads `[B, T, units]`."""
        x = self.embed(x)
        for number, cell in enumerate(self.cells):
            loop = keras.layers.RNN(cell, return_sequences=True, dtype=self.dtype_policy)
            x = loop(x, initial_state=list(states[number]) if states else None)
        return [head(x) for head in self.heads]

    def zero_state(self, batch: int | Tensor) -> tuple[Any, ...]:
        """Return the states before the first step."""
        zeros = ops.zeros((batch, UNITS), self.compute_dtype)
        return ((zeros, zeros),) * len(self.cells)

    def get_config(self) -> dict[str, Any]:
        config = {"inputs": self.inputs, "layers": self.layers_, "heads": self.heads_}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="tfvrnn")
class SVG(VideoPredictor):
    """SVG with a learned prior (LP) or a fixed one (FP), N(0, 1).

        z_t ~ q(z_t | x_2..t), or p(z_t | x_<t) when sampling;  h = Enc(x_{t-1})
        x_t = Dec(tanh(LSTM([h, z_t])), skips)

    Context steps count in the loss: reconstruction is the sum over t = 2..T of the mean squared
    error per pixel, and KL is the sum over t = 2..T. The skips come from x_{t-1} up to the last
    context frame, and from that frame afterwards. In sampling, context steps take z at
    the posterior's mean. With noise, `begin` draws it: n_ctx - 1 steps at the front of the noise.

    Source: Denton and Fergus, "Stochastic Video Generation with a Learned Prior", 2018;
    deviations: see docs/baselines.md.

    Args:
        image_shape: (64, 64, C).
        context_frames: int, n_ctx.
        encoder: 'dcgan' or 'vgg'.
        latents: int, length of z.
        learned_prior: bool.
    """

    latent_resolutions = (1,)
    mean_over_pixels = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        context_frames: int,
        encoder: str = "dcgan",
        latents: int = 10,
        learned_prior: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require(encoder in ("dcgan", "vgg"), "`encoder` must be dcgan or vgg.", repr(encoder))
        check_frames(image_shape, context_frames)
        require(image_shape[0] == 64, "`image_shape` must have sides of 64.", image_shape)
        self.image_shape = (*image_shape,)
        self.context_frames = context_frames
        self.kind, self.latents, self.learned_prior = encoder, latents, learned_prior
        self.context_draws = context_frames - 1
        channels, options = self.image_shape[-1], dict(dtype=self.dtype_policy)
        heads = (latents, latents)
        self.encoder = SVGEncoder(encoder, channels, FEATURES, name="encoder", **options)
        self.decoder = SVGDecoder(encoder, channels, FEATURES, name="decoder", **options)
        self.predictor = StackedLSTM(
            FEATURES + latents, 2, (FEATURES,), name="predictor", **options
        )
        self.posterior = StackedLSTM(FEATURES, 1, heads, name="posterior", **options)
        self.prior = None
        if learned_prior:
            self.prior = StackedLSTM(FEATURES, 1, heads, name="prior", **options)
        self.build()

    def build(self, input_shape: Shape | None = None) -> None:
        self.encoder.build((None, *self.image_shape))
        self.decoder.build((None, FEATURES))
        for lstm in filter(None, (self.predictor, self.posterior, self.prior)):
            lstm.build((None, lstm.inputs))

    def noise_shapes(self, batch: int | Tensor, steps: int) -> list[tuple[int, ...]]:
        return [(batch, self.context_draws + steps, 1, 1, self.latents)]

    def counted_frames(self, steps: int) -> int:
        return self.context_draws + steps

    # Training: all frames at once.

    def training_terms(
        self, frames: Tensor, noise: Sequence[Tensor], training: bool = False
    ) -> tuple[dict[str, Tensor], Tensor]:
        vectors, skips = self._encode(frames, training)
        posterior, prior = self._distributions(vectors)
        z = ops.cast(posterior.sample(noise[0][:, :, 0, 0]), vectors.dtype)
        (predicted,) = self.predictor.sequence(ops.concatenate([vectors[:, :-1], z], axis=-1))
        lent = [self._lend(skip) for skip in skips]
        images = self.decoder(
            tensor_ops.fold_time(ops.tanh(predicted)),
            [tensor_ops.fold_time(skip) for skip in lent],
            training=training,
        )
        images = ops.cast(tensor_ops.unfold_time(images, frames.shape[1] - 1), "float32")
        squares = ops.square(images - ops.cast(frames[:, 1:], "float32"))
        terms = {"reconstruction": ops.sum(ops.mean(squares, axis=(2, 3, 4)), axis=1)}
        terms["kl_1"] = ops.sum(posterior.kl_divergence(prior), axis=(1, 2))
        return terms, images[:, self.context_frames - 1 :]

    def reconstruction_term(self, frames: Tensor, predictions: Tensor) -> Tensor:
        squares = ops.square(ops.cast(frames, "float32") - ops.cast(predictions, "float32"))
        return ops.sum(ops.mean(squares, axis=(2, 3, 4)), axis=1)

    def infer_latents(
        self, frames: Tensor, noise: Sequence[Tensor]
    ) -> tuple[list[Tensor], dict[int, Tensor]]:
        vectors, _ = self._encode(frames)
        posterior, prior = self._distributions(vectors)
        z = posterior.sample(noise[0][:, :, 0, 0])[:, self.context_draws :, None, None, :]
        return [z], {1: posterior.kl_divergence(prior)[:, :, None, None, :]}

    def _encode(self, frames, training=False):
        vectors, skips = self.encoder(tensor_ops.fold_time(frames), training=training)
        unfolded = [tensor_ops.unfold_time(x, frames.shape[1]) for x in (vectors, *skips)]
        return unfolded[0], tuple(unfolded[1:])

    def _distributions(self, vectors):
        """Return (posterior, prior) of every step but the first, `[B, T - 1, Z]`."""
        posterior = _gaussian(*self.posterior.sequence(vectors[:, 1:]))
        if self.prior:
            return posterior, _gaussian(*self.prior.sequence(vectors[:, :-1]))
        return posterior, _standard(posterior.mean)

    def _lend(self, skip):
        """Select the skips of steps 2..T from maps `[B, T, ...]`."""
        first, steps = self.context_frames, skip.shape[1]
        last = skip[:, first - 1 : first]
        return ops.concatenate([skip[:, : first - 1], *[last] * (steps - first)], axis=1)

    # Sampling: one frame at a time.

    def begin(self, context: Tensor, noise: Sequence[Tensor] | None = None) -> SVGState:
        vectors, skips = self._encode(context)
        batch = ops.shape(context)[0]
        prior = self.prior.zero_state(batch) if self.prior else ()
        posterior, predictor = self.posterior.zero_state(batch), self.predictor.zero_state(batch)
        for time in range(1, self.context_frames):
            heads, posterior = self.posterior(vectors[:, time], posterior)
            drawn = _gaussian(*heads)
            z = drawn.mean if noise is None else drawn.sample(noise[0][:, time - 1, 0, 0])
            if self.prior:
                _, prior = self.prior(vectors[:, time - 1], prior)
            inputs = ops.concatenate([vectors[:, time - 1], ops.cast(z, vectors.dtype)], axis=-1)
            _, predictor = self.predictor(inputs, predictor)
        return SVGState(vectors[:, -1], tuple(skip[:, -1] for skip in skips), prior, predictor)

    def draw(
        self, state: SVGState, noise: Any, mean: bool = False
    ) -> tuple[SVGState, list[Tensor]]:
        if self.prior:
            heads, prior = self.prior(state.vector, state.prior)
            drawn, state = _gaussian(*heads), state._replace(prior=prior)
        else:
            drawn = _standard(ops.zeros((ops.shape(state.vector)[0], self.latents), "float32"))
        z = drawn.mean if mean else drawn.sample(noise[0][:, 0, 0])
        return state, [z[:, None, None, :]]

    def render(self, state: SVGState, latents: Sequence[Tensor]) -> tuple[SVGState, Tensor]:
        z = ops.cast(latents[0][:, 0, 0], state.vector.dtype)
        inputs = ops.concatenate([state.vector, z], axis=-1)
        (predicted,), predictor = self.predictor(inputs, state.predictor)
        image = self.decoder(ops.tanh(predicted), state.skips)
        return state._replace(predictor=predictor), ops.cast(image, "float32")

    def observe(self, state: SVGState, frame: Tensor) -> SVGState:
        vector, _ = self.encoder(frame)
        return state._replace(vector=vector)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "context_frames": self.context_frames,
            "encoder": self.kind,
            "latents": self.latents,
            "learned_prior": self.learned_prior,
        }


def _uniform():
    return keras.initializers.RandomUniform(-(UNITS**-0.5), UNITS**-0.5)


def _gaussian(mean, log_variance):
    mean, log_variance = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
    return DiagonalGaussian(mean, ops.exp(log_variance))


def _standard(like):
    like = ops.cast(like, "float32")
    return DiagonalGaussian(ops.zeros_like(like), ops.ones_like(like))
