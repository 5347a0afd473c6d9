"""Models that have the interface and export in seconds."""

import keras
from keras import ops

from tfvrnn.config import ModelConfig
from tfvrnn.models import VideoPredictor, build_model


def vrnn():
    """Make an 8x8 VRNN with two levels whose noise shows."""
    config = ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1, 4))
    model = build_model(config)
    for level in model.prior_levels:  # its scales start at 0
        level.head.norm.scale.assign(ops.ones_like(level.head.norm.scale))
    return model


class Drift(VideoPredictor):
    """A second family: the last frame plus noise, times one learnt amount."""

    context_frames = 3
    image_shape = (8, 8, 3)
    latent_resolutions = (1,)

    def __init__(self):
        super().__init__()
        self.amount = self.add_weight(
            name="amount", shape=(), initializer=keras.initializers.Constant(0.1)
        )
        self.built = True

    def noise_shapes(self, batch, steps):
        return [(batch, steps, 1, 1, 3)]

    def begin(self, context, noise=None):
        return (context[:, -1],)

    def draw(self, state, noise, mean=False):
        return state, [ops.zeros_like(state[0][:, :1, :1]) if mean else noise[0]]

    def render(self, state, latents):
        return state, ops.clip(state[0] + self.amount * latents[0], 0.0, 1.0)

    def observe(self, state, frame):
        return (frame,)


class GreyDrift(Drift):
    """`Drift` with grey frames."""

    context_frames = 2
    image_shape = (8, 8, 1)

    def noise_shapes(self, batch, steps):
        return [(batch, steps, 1, 1, 1)]


class Fade(Drift):
    """A deterministic family: the last frame, half as bright."""

    latent_resolutions = ()

    def noise_shapes(self, batch, steps):
        return []

    def draw(self, state, noise, mean=False):
        return state, []

    def render(self, state, latents):
        return state, 0.5 * state[0]
