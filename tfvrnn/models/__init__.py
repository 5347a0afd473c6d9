"""The models, each a `VideoPredictor`, and `build_model`, which builds them by family."""

import random
import threading

import keras

from tfvrnn.config import DataConfig, ModelConfig
from tfvrnn.models.copy_last import CopyLast
from tfvrnn.models.prednet import PredNet
from tfvrnn.models.svg import SVG
from tfvrnn.models.video_predictor import ACTIVE_NATS, VideoPredictor
from tfvrnn.models.vrnn import VRNN

__all__ = ["ACTIVE_NATS", "SVG", "VRNN", "CopyLast", "PredNet", "VideoPredictor", "build_model"]


_BUILDING = threading.Lock()  # Python's generator is that of all threads


def _build_vrnn(config: ModelConfig, remat, options) -> VRNN:
    return VRNN(
        image_shape=config.image_shape,
        channels=config.encoder_channels,
        context_frames=config.context_frames,
        latent_resolutions=config.resolved_latent_resolutions,
        latent_channels=config.latent_channels,
        latent_feedback=config.latent_feedback,
        groups=config.groups,
        reconstruction=config.reconstruction,
        forget_bias=config.forget_bias,
        initial_variance=config.initial_variance,
        decoder_skips=config.decoder_skips,
        dense_decoder=config.dense_decoder,
        advection=config.advection,
        remat=remat,
        **options,
    )


def _build_svg(config: ModelConfig, remat, options) -> SVG:
    return SVG(
        image_shape=config.image_shape,
        context_frames=config.context_frames,
        encoder=config.svg_encoder,
        latents=config.svg_latents,
        learned_prior=config.svg_prior == "learned",
        **options,
    )


def _build_prednet(config: ModelConfig, remat, options) -> PredNet:
    return PredNet(
        image_shape=config.image_shape,
        context_frames=config.context_frames,
        loss=config.prednet_loss,
        extrapolate=config.prednet_extrapolate,
        feedback=config.prednet_feedback,
        stacks=config.prednet_stacks,
        **options,
    )


def _build_copy_last(config: ModelConfig, remat, options) -> CopyLast:
    return CopyLast(config.image_shape, config.context_frames, config.reconstruction, **options)


BUILDERS = {
    "vrnn": _build_vrnn,
    "svg": _build_svg,
    "prednet": _build_prednet,
    "copy_last": _build_copy_last,
}


def build_model(
    config: ModelConfig,
    precision: str = "float32",
    seed: int = 0,
    remat: bool = False,
    horizon: int = DataConfig.horizon,
) -> VideoPredictor:
    """Build the model of a configuration, with its weights.

    Args:
        config: options of the model.
        precision: Keras dtype policy: 'float32', 'mixed_bfloat16' or 'mixed_float16'.
        seed: of the initial weights, which are the same on every call and machine, and of the
            model's own generator, from which `fit` draws its noise.
        remat: whether the VRNN's decoder computes its activations again for the gradient, to
            save memory. The other models are small and keep theirs.
        horizon: default number of frames that the model's `predict` predicts.

    Returns:
        A `VideoPredictor` of the family `config.family`.
    """
    options = dict(dtype=keras.DTypePolicy(precision), horizon=horizon, seed=seed)
    # Keras' initializers draw from Python's generator. Seed it here, then restore its state.
    with _BUILDING:
        state = random.getstate()
        random.seed(int(seed))
        try:
            return BUILDERS[config.family](config, remat, options)
        finally:
            random.setstate(state)
