"""The hierarchical VRNN. With one latent level it is the VRNN without hierarchy."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.distributions import LN_2
from tfvrnn.layers import InitialState, LatentLevel, PixelAdvection
from tfvrnn.models.checks import check_frames, check_vrnn, checked_levels
from tfvrnn.models.decoder import FrameDecoder
from tfvrnn.models.encoder import FrameEncoder
from tfvrnn.models.reconstruction import Likelihood, reconstruction_loss
from tfvrnn.models.video_predictor import VideoPredictor
from tfvrnn.tensor_ops import Shape, Tensor


class VRNNState(NamedTuple):
    """The state of a rollout.

    Attributes:
        maps: the last frame's maps at `VRNN.map_resolutions`.
        prior: a ConvLSTMState per latent level, coarsest first.
        decoder: a ConvLSTMState per decoder resolution, coarsest first.
        latents: the last frame's latents per level with latent feedback, else empty.
        frame: (the last frame,) with advection, else empty.
    """

    maps: tuple[Any, ...]
    prior: tuple[Any, ...]
    decoder: tuple[Any, ...]
    latents: tuple[Any, ...] = ()
    frame: tuple[Any, ...] = ()


class EncodedParts(NamedTuple):
    """The encoder's maps of a video, {resolution: `[B, steps, r, r, C]`} each.

    Attributes:
        context: maps of the given frames.
        future: maps of the frames to predict.
        seen: maps of the frame before each frame to predict, at least at `VRNN.map_resolutions`.
    """

    context: dict
    future: dict
    seen: dict


@keras.saving.register_keras_serializable(package="tfvrnn")
class VRNN(VideoPredictor):
    """Conditional VRNN with a densely connected hierarchy of latents.

        prior      p(z_t | z_<t, x_<t, c)  = prod_l p(z_t^l | z_t^<l, x_<t, c)
        posterior  q(z_t | z_<t, x_<=t, c) = prod_l q(z_t^l | z_t^<l, x_<=t, c)
        objective  sum_t E_q[log p(x_t | z_<=t, x_<t, c)] - beta sum_t sum_l KL(q || p)

    In training, the prior of level l is conditioned on the posterior's samples of the lower
    levels. In sampling, it is conditioned on its own.

    Source: Castrejon, Ballas and Courville, "Improved Conditional VRNNs for Video Prediction",
    ICCV 2019, eqs. 5 to 10 and Figs. B.1 to B.4. docs/model.md lists the choices that the paper
    leaves open.

    Args:
        image_shape: (S, S, C).
        channels: dict {resolution: channels} of the encoder: S, S/2, ..., 8, 4, 1. The last three
            are equal.
        context_frames: int, n_ctx.
        latent_resolutions: tuple of int, coarsest first; `(1,)` is the VRNN without hierarchy.
        latent_channels: tuple of int, channels of each level's latent; by default those of the
            encoder at its resolution.
        latent_feedback: 'none', as in the authors' release, or 'own': a level also sees its own
            earlier samples, as eqs. 7 and 8 are written.
        groups: int, see `GroupNorm`.
        reconstruction: 'l1', 'l2', 'bce', 'laplace' or 'gaussian', see `Likelihood`.
        forget_bias: float, initial offset of the forget gates of all ConvLSTMs.
        initial_variance: float, variance of the latents before training.
        decoder_skips: bool, whether the decoder sees the encoder's maps of the last frame at all
            resolutions, not only at 1x1.
        dense_decoder: bool, whether every resolution of the decoder sees the latents of all coarser
            levels, not only those of its own.
        advection: int, side of the window of the last frame that a pixel may come from, see
            `PixelAdvection`; 0: all pixels are new.
        remat: bool, whether the decoder's activations are recomputed for the gradient. Not
            with sequential scheduled sampling.
    """

    likelihood: Likelihood
    can_see_own_frames = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        channels: Mapping[int, int],
        context_frames: int,
        latent_resolutions: Sequence[int],
        latent_channels: Sequence[int] | None = None,
        latent_feedback: str = "none",
        groups: int = 16,
        reconstruction: str = "l1",
        forget_bias: float = 0.0,
        initial_variance: float = LN_2,
        decoder_skips: bool = False,
        dense_decoder: bool = False,
        advection: int = 0,
        remat: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        channels = dict(sorted(((int(r), c) for r, c in dict(channels).items()), reverse=True))
        check_frames(image_shape, context_frames)
        self.image_shape, self.context_frames = (*image_shape,), context_frames
        side = image_shape[0]
        levels = checked_levels(side, channels, latent_resolutions, latent_channels)
        check_vrnn(side, groups, latent_feedback, forget_bias, initial_variance, advection)
        self.latent_resolutions, self.latent_channels = levels
        self.latent_feedback = latent_feedback
        self.groups, self.remat, self.reconstruction = groups, remat, reconstruction
        self.forget_bias, self.initial_variance = forget_bias, initial_variance
        self.decoder_skips, self.dense_decoder = decoder_skips, dense_decoder
        self.advection = advection
        self.compose = PixelAdvection(advection, name="compose") if advection else None
        # A tuple: checkpoints and JSON do not keep a dict with integer keys.
        self.channels = tuple(channels.items())
        options: dict[str, Any] = dict(groups=groups, dtype=self.dtype_policy)
        self.encoder = FrameEncoder(channels, name="encoder", **options)
        self.decoder = self._decoder(options)
        # The latent levels compute in float32 under every policy. bfloat16 rounds the posterior and
        # the prior differently, which adds a quarter to the KL of trained weights.
        latent_options: dict[str, Any] = dict(groups=groups, dtype="float32")
        self.prior_levels = self._latent_levels("prior", latent_options)
        self.posterior_levels = self._latent_levels("posterior", latent_options)
        # Initial states of the ConvLSTMs: the decoder's from 1x1 up, the prior's, the posterior's.
        levels = [(r, channels[r]) for r in self.latent_resolutions]
        self.decoder_begins = _initial_states("decoder", self.decoder.channels, options)
        self.prior_begins = _initial_states("prior", levels, latent_options)
        self.posterior_begins = _initial_states("posterior", levels, latent_options)
        self.likelihood = Likelihood(reconstruction, self.image_shape[-1], name="likelihood")
        self.build()

    @property
    def map_resolutions(self) -> tuple[int, ...]:
        """Resolutions of the last frame's maps that the prior or the decoder sees, ascending."""
        skips = dict(self.channels) if self.decoder_skips else ()
        return tuple(sorted({1, *self.latent_resolutions, *skips}))

    def _decoder(self, options):
        channels = self.image_shape[-1]
        return FrameDecoder(
            dict(self.channels),
            dict(zip(self.latent_resolutions, self.latent_channels)),
            self.compose.outputs(channels) if self.compose else channels,
            forget_bias=self.forget_bias,
            skips=self.decoder_skips,
            dense=self.dense_decoder,
            remat=self.remat,
            name="decoder",
            **options,
        )

    def _latent_levels(self, name, options):
        channels = dict(self.channels)
        return [
            LatentLevel(
                channels[resolution],
                self.latent_channels[k],
                self.latent_channels[:k],
                kernel_size=1 if resolution == 1 else 3,
                feedback=self.latent_feedback == "own",
                forget_bias=self.forget_bias,
                initial_variance=self.initial_variance,
                name=f"{name}_{resolution}",
                **options,
            )
            for k, resolution in enumerate(self.latent_resolutions)
        ]

    def build(self, input_shape: Shape | None = None) -> None:
        channels = dict(self.channels)
        self.encoder.build((None, *self.image_shape))
        self.decoder.build({r: (None, r, r, channels[r]) for r in self.map_resolutions})
        for resolution, prior, posterior in zip(
            self.latent_resolutions, self.prior_levels, self.posterior_levels
        ):
            prior.build((None, resolution, resolution, channels[resolution]))
            posterior.build((None, resolution, resolution, channels[resolution]))
        for resolutions, nets in (
            (sorted(channels), self.decoder_begins),
            (self.latent_resolutions, self.prior_begins),
            (self.latent_resolutions, self.posterior_begins),
        ):
            for r, net in zip(resolutions, nets):
                net.build((None, self.context_frames, r, r, channels[r]))
        self.built = True

    def noise_shapes(self, batch: int | Tensor, steps: int) -> list[tuple[int, ...]]:
        levels = zip(self.latent_resolutions, self.latent_channels)
        return [(batch, steps, r, r, channels) for r, channels in levels]

    # Training: all frames at once, unless they are predicted from predictions.

    def training_terms(
        self,
        frames: Tensor,
        noise: Sequence[Tensor],
        training: bool = False,
        seen: Tensor | None = None,
        own: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the terms and the predictions, see `VideoPredictor.training_terms`.

        The posterior and the targets are always of the true frames. By default, the prior and the
        decoder see the true frames, too. Give at most one of these to change that:

        - `seen`, float `[B, T, H, W, C]`: they see these frames, whose context is the same.
        - `own`, bool `[B, T - n_ctx]`: they see the predictions where `own` is True. Frames are
          then computed one after another, and the gradient passes through the predictions.

        Raises:
            ValueError: both `seen` and `own`.
        """
        if seen is not None and own is not None:
            raise ValueError("Give at most one of `seen` and `own`. Received: both")
        parts = self._encode_parts(frames, seen)
        latents, posteriors = self._infer_posteriors(parts, noise)
        if own is None:
            last = (frames if seen is None else seen)[:, self.context_frames - 1 : -1]
            logits, maps = self._render_all(parts, latents, last), parts.seen
        else:
            logits, maps = self._roll_out(frames, parts, latents, own)
        kl = self._kl_divergences(parts, maps, latents, posteriors)
        targets = ops.cast(frames[:, self.context_frames :], "float32")
        terms = {"reconstruction": self.likelihood(targets, logits)}
        for resolution, divergence in kl.items():
            terms[f"kl_{resolution}"] = ops.sum(divergence, axis=(1, 2, 3, 4))
        return terms, ops.sigmoid(logits)

    def reconstruction_term(self, frames: Tensor, predictions: Tensor) -> Tensor:
        return reconstruction_loss(self.reconstruction, frames, predictions)

    def infer_latents(
        self, frames: Tensor, noise: Sequence[Tensor]
    ) -> tuple[list[Tensor], dict[int, Tensor]]:
        parts = self._encode_parts(frames)
        latents, posteriors = self._infer_posteriors(parts, noise)
        return latents, self._kl_divergences(parts, parts.seen, latents, posteriors)

    def _render_all(self, parts, latents, last):
        """Compute the logits of all predicted frames at once. `last` are the frames before them."""
        states = self._begin(self.decoder_begins, sorted(parts.context), parts.context)
        by_resolution = dict(zip(self.latent_resolutions, latents))
        return self._logits(self.decoder.sequence(parts.seen, by_resolution, states), last)

    def _roll_out(self, frames, parts, latents, own):
        """Compute the logits one after another: (logits, the maps that the model has seen)."""
        context, future = ops.split(frames, [self.context_frames], axis=1)

        def step(state, inputs):
            true, chosen, *latents = inputs
            following, outputs = self._decode(state, latents)
            last = [frame[:, None] for frame in state.frame]
            logits = self._logits(outputs[:, None], *last)[:, 0]
            predicted = ops.cast(ops.sigmoid(logits), frames.dtype)
            frame = ops.where(chosen[:, None, None, None], predicted, true)
            return self.observe(following, frame), (logits, state.maps)

        state = self._first_state(context, parts.context)
        _, (logits, seen) = tensor_ops.scan(step, state, (future, own, *latents))
        return logits, dict(zip(self.map_resolutions, seen))

    def _logits(self, outputs, last: Any = None):
        """Compute frames' float32 logits from the decoder's outputs and the frames before them."""
        if self.compose is None:
            return ops.cast(outputs, "float32")
        steps = last.shape[1]
        last, outputs = tensor_ops.fold_time(last), tensor_ops.fold_time(outputs)
        return tensor_ops.unfold_time(tensor_ops.logit(self.compose(last, outputs)), steps)

    def _infer_posteriors(self, parts, noise):
        """Draw the posterior's latents per level: (latents, distributions with time folded)."""
        states = self._begin(self.posterior_begins, self.latent_resolutions, parts.context)
        latents, latents_N, posteriors = [], [], []
        for level, resolution in enumerate(self.latent_resolutions):
            posterior, latent_N = self.posterior_levels[level].infer(
                parts.future[resolution], states[level], latents_N, noise[level]
            )
            latents.append(tensor_ops.unfold_time(latent_N, noise[level].shape[1]))
            latents_N.append(latent_N)
            posteriors.append(posterior)
        return latents, posteriors

    def _kl_divergences(self, parts, seen, latents, posteriors):
        """Compute the KL per level, from the posterior to a prior that has seen the maps `seen`."""
        states = self._begin(self.prior_begins, self.latent_resolutions, parts.context)
        latents_N, kl = [tensor_ops.fold_time(latent) for latent in latents], {}
        for level, resolution in enumerate(self.latent_resolutions):
            prior = self.prior_levels[level].sequence(
                seen[resolution], states[level], latents_N[:level], latents[level]
            )
            kl_N = posteriors[level].kl_divergence(prior)
            kl[resolution] = tensor_ops.unfold_time(kl_N, latents[level].shape[1])
        return kl

    def _encode(self, frames):
        """Encode frames `[B, T, H, W, C]`: {resolution: maps `[B, T, r, r, C]`}."""
        maps = self.encoder(tensor_ops.fold_time(frames))
        return {r: tensor_ops.unfold_time(m, frames.shape[1]) for r, m in maps.items()}

    def _encode_parts(self, frames, seen_frames=None):
        context, future, seen = {}, {}, {}
        if seen_frames is not None:
            seen = self._encode(seen_frames[:, self.context_frames - 1 : -1])
        for r, maps in self._encode(frames).items():
            # Split instead of slice: the gradient of a slice fills a whole tensor with zeros.
            context[r], future[r] = ops.split(maps, [self.context_frames], axis=1)
            if seen_frames is None and r in self.map_resolutions:
                last = ops.split(context[r], [self.context_frames - 1], axis=1)[1]
                but_last = ops.split(future[r], [future[r].shape[1] - 1], axis=1)[0]
                seen[r] = ops.concatenate([last, but_last], axis=1)
        return EncodedParts(context, future, seen)

    @staticmethod
    def _begin(nets, resolutions, context):
        """Compute the initial states at `resolutions` from the context's maps."""
        return tuple(net(context[r]) for net, r in zip(nets, resolutions))

    # Sampling: one frame at a time.

    def begin(self, context: Tensor, noise: Sequence[Tensor] | None = None) -> VRNNState:
        return self._first_state(context, self._encode(context))

    def _first_state(self, context, maps):
        """Return the state after the context, whose maps are `maps`."""
        return VRNNState(
            maps=tuple(maps[r][:, -1] for r in self.map_resolutions),
            prior=self._begin(self.prior_begins, self.latent_resolutions, maps),
            decoder=self._begin(self.decoder_begins, sorted(maps), maps),
            latents=self._no_latents(ops.shape(context)[0]),
            frame=self._frame_part(context[:, -1]),
        )

    def _frame_part(self, frame):
        """Return the part `frame` of the state after `frame`."""
        return (ops.cast(frame, "float32"),) if self.compose else ()

    def _no_latents(self, batch):
        """Return zeros for the latents before the first predicted frame."""
        if self.latent_feedback == "none":
            return ()
        return tuple(ops.zeros((batch, *shape[2:]), "float32") for shape in self.noise_shapes(1, 1))

    def draw(
        self, state: VRNNState, noise: Any, mean: bool = False
    ) -> tuple[VRNNState, list[Tensor]]:
        maps = dict(zip(self.map_resolutions, state.maps))
        earlier = state.latents or [None] * len(self.latent_resolutions)
        latents, prior_states = [], []
        for level, resolution in enumerate(self.latent_resolutions):
            distribution, prior_state = self.prior_levels[level](
                maps[resolution], state.prior[level], latents, earlier[level]
            )
            latents.append(distribution.mean if mean else distribution.sample(noise[level]))
            prior_states.append(prior_state)
        return state._replace(prior=tuple(prior_states)), latents

    def render(self, state: VRNNState, latents: Sequence[Tensor]) -> tuple[VRNNState, Tensor]:
        state, outputs = self._decode(state, latents)
        if self.compose:
            return state, self.compose(state.frame[0], outputs)
        return state, ops.sigmoid(ops.cast(outputs, "float32"))

    def _decode(self, state, latents):
        """Compute the decoder's outputs for the next frame: (state, outputs)."""
        maps = dict(zip(self.map_resolutions, state.maps))
        by_resolution = dict(zip(self.latent_resolutions, latents))
        outputs, decoder_states = self.decoder(maps, by_resolution, state.decoder)
        fed_back = tuple(latents) if self.latent_feedback == "own" else ()
        return state._replace(decoder=decoder_states, latents=fed_back), outputs

    def observe(self, state: VRNNState, frame: Tensor) -> VRNNState:
        maps = self.encoder(frame)
        maps = tuple(maps[r] for r in self.map_resolutions)
        return state._replace(maps=maps, frame=self._frame_part(frame))

    def get_config(self) -> dict[str, Any]:
        names = (
            "image_shape", "context_frames", "latent_resolutions", "latent_channels",
            "latent_feedback", "groups", "reconstruction", "forget_bias", "initial_variance",
            "decoder_skips", "dense_decoder", "advection", "remat",
        )  # fmt: skip
        config = {**super().get_config(), "channels": dict(self.channels)}
        return config | {name: getattr(self, name) for name in names}


def _initial_states(network, channels, options):
    """Make the networks of the initial states, one per (resolution, channels)."""
    return [InitialState(c, name=f"initial_state_{network}_{r}", **options) for r, c in channels]
