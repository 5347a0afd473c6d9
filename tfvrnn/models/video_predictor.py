"""The interface of every model: what training, sampling, evaluation and serving rely on."""

from typing import Any

import keras
from keras import ops

from tfvrnn.models.reconstruction import Likelihood

ACTIVE_NATS = 0.01  # nats a frame, above which a latent channel is in use


class VideoPredictor(keras.Model):
    """Predicts the frames that follow `context_frames` given ones.

    A pure function of weights, frames and noise: models draw nothing themselves. `noise` is a
    list of float32 standard normals, one per latent level, coarsest first, made by the caller
    (see `noise_shapes`). Frames are float `[B, T, H, W, C]`, pixels in [0, 1]. A state is a
    nested tuple of batch-major tensors. `step` is `draw`, `render`, `observe`; a rollout is
    `begin` and any number of steps.

    Attributes:
        context_frames: int, n_ctx.
        image_shape: (H, W, C).
        context_draws: int, how many of the noise's steps are drawn during the context.
        latent_resolutions: tuple of int, the levels' resolutions; () if deterministic.
        likelihood: None, or a `Likelihood` whose scale may follow the data, see `calibrated`.
        mean_over_pixels: bool, whether the reconstruction term is a mean error of a pixel; else it
            is in nats, summed over the pixels.
    """

    context_frames: int
    image_shape: tuple[int, int, int]
    context_draws: int = 0
    latent_resolutions: tuple[int, ...] = ()
    mean_over_pixels: bool = False
    likelihood: Likelihood | None = None

    @property
    def calibrated(self) -> bool:
        """Whether the reconstruction term is a log density, whose scale follows the data."""
        return self.likelihood is not None and self.likelihood.calibrated

    def noise_shapes(self, batch: int, steps: int) -> list[tuple[int, ...]]:
        """Shapes of the noise for `steps` predicted frames: `[B, steps, r, r, Z]` per level.

        `context_draws` further steps stand in front. A deterministic model returns [].
        """
        raise NotImplementedError

    def training_terms(self, frames, noise, training=False):
        """Terms of the negative ELBO, and the predictions under teacher forcing.

        Args:
            frames: float `[B, T, H, W, C]`, context first.
            noise: list of standard normals, shaped as `noise_shapes(B, T - n_ctx)`.
            training: bool, for layers that differ in training.

        Returns:
            (terms, predictions). terms: dict of float32 `[B]`: 'reconstruction' and one
            'kl_<resolution>' per level, in nats, summed over time and pixels. predictions:
            float32 `[B, T - n_ctx, H, W, C]`, from the posterior's samples.
        """
        raise NotImplementedError

    def counted_frames(self, steps: int) -> int:
        """How many frames the terms are summed over, of a video with `steps` predicted ones.

        More than those where context steps count as well; one where the sum is a mean over time.
        """
        return steps

    def reconstruction_term(self, frames, predictions):
        """The reconstruction term that given predictions would have, float32 `[B]`.

        For baselines, as copying the last frame. Frames and predictions are
        `[B, T - n_ctx, H, W, C]` in [0, 1].
        """
        raise NotImplementedError

    def latent_kl(self, frames, noise) -> dict[int, Any]:
        """What `training_terms` sums: {resolution: float32 `[B, T - n_ctx, r, r, Z]`}, nats.

        `context_draws` further steps stand in front, as in the noise.
        """
        raise NotImplementedError

    def channel_nats(self, frames, noise) -> dict[int, Any]:
        """KL of every latent channel, nats a frame: {resolution: float32 `[B, Z]`}.

        Summed over pixels, mean over time. A channel whose mean over videos is above
        `ACTIVE_NATS` is in use.

        Source: after Burda et al., "Importance Weighted Autoencoders", 2016, where a unit is
        active if the posterior's mean varies; here if its KL is not zero.
        """
        return {
            resolution: ops.mean(ops.sum(kl_BTHWZ, axis=(2, 3)), axis=1)
            for resolution, kl_BTHWZ in self.latent_kl(frames, noise).items()
        }

    def begin(self, context, noise=None):
        """The state after the context `[B, n_ctx, H, W, C]`.

        `noise` are the `context_draws` steps of every level; None takes latents at their means.
        """
        raise NotImplementedError

    def draw(self, state, noise, mean=False):
        """(state, latents): the prior's latents of the next frame.

        `noise` is a list of `[B, r, r, Z]`, or None with `mean`, which takes every latent at
        its mean.
        """
        raise NotImplementedError

    def render(self, state, latents):
        """(state, frame float32 `[B, H, W, C]`): the next frame from its latents."""
        raise NotImplementedError

    def observe(self, state, frame):
        """The state, having seen `frame` `[B, H, W, C]`."""
        raise NotImplementedError

    def step(self, state, noise, mean=False):
        """(state, frame): draw, render, observe."""
        state, latents = self.draw(state, noise, mean)
        state, frame = self.render(state, latents)
        return self.observe(state, frame), frame

    def call(self, frames, noise, training=False):
        return self.training_terms(frames, noise, training)
