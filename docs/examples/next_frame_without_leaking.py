"""
Title: Next-frame prediction that does not see the future
Author: The tfvrnn authors
Date created: 2026/11/26
Last modified: 2026/11/26
Description: A stochastic video predictor, and a check that no prediction depends on later frames.
Accelerator: None
"""

"""
## Introduction

A video predictor must not see the frame that it predicts. It is easy to let it see that frame by
mistake, and then its pictures are good for the wrong reason. This example shows a check that finds
the mistake. Then it builds a small model that passes the check, and draws several futures of one
video.

It runs on Keras' TensorFlow and JAX backends, in a minute or two on two CPU cores.
"""

"""
## Setup
"""

from typing import NamedTuple

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops

from tfvrnn import media
from tfvrnn.distributions import DiagonalGaussian
from tfvrnn.layers import ConvLSTMCell, ConvLSTMState, LatentLevel
from tfvrnn.models import VideoPredictor
from tfvrnn.models.reconstruction import Likelihood, reconstruction_loss
from tfvrnn.tensor_ops import fold_time, unfold_time

keras.utils.set_random_seed(0)
SIZE, GIVEN, FRAMES = 16, 3, 10

"""
## Data: a disc that bounces at random

A disc moves at a constant velocity. At a wall it gets a new random direction. So the past does not
determine the future, and a good model must be able to draw more than one.
"""

RADIUS, SPEED = 2.5, 2.0


def draw_discs(centres):
    """Draw a disc at each of the centres `[N, 2]`: frames `[N, SIZE, SIZE, 1]` in [0, 1]."""
    pixels = np.arange(SIZE) + 0.5
    down = pixels[None, :, None] - centres[:, 0, None, None]
    right = pixels[None, None, :] - centres[:, 1, None, None]
    return np.clip(RADIUS + 0.5 - np.hypot(down, right), 0, 1)[..., None]


def make_videos(count, seed):
    """Make videos, uint8 `[count, FRAMES, SIZE, SIZE, 1]`."""
    rng = np.random.default_rng(seed)

    def random_velocities():
        angles = rng.uniform(0, 2 * np.pi, count)
        return SPEED * np.stack([np.sin(angles), np.cos(angles)], axis=1)

    centres = rng.uniform(RADIUS, SIZE - RADIUS, (count, 2))
    velocities, frames = random_velocities(), []
    for _ in range(FRAMES):
        frames.append(draw_discs(centres))
        moved = centres + velocities
        centres = np.clip(moved, RADIUS, SIZE - RADIUS)
        outside = moved - centres
        turned = random_velocities()
        turned = np.where(outside, -np.sign(outside) * np.abs(turned), turned)
        velocities = np.where(outside.any(axis=1, keepdims=True), turned, velocities)
    return media.to_uint8(np.stack(frames, axis=1))


train_videos, test_videos = make_videos(2000, seed=1), make_videos(100, seed=2)


def show(title, rows):
    """Show videos as rows by name, time from left to right. Green frames are given."""
    videos = [media.bordered(media.to_uint8(video), GIVEN, 1) for video in rows.values()]
    plt.figure(figsize=(8, 0.9 * len(rows)))
    plt.imshow(media.strip(videos))
    plt.yticks([(SIZE + 4) * (k + 0.5) for k in range(len(rows))], list(rows))
    plt.xticks([])
    plt.title(title)
    plt.tight_layout()
    plt.show()


show("Four videos", {f"video {k}": test_videos[k] for k in range(4)})

"""
## The pitfall

The [ConvLSTM example](https://keras.io/examples/vision/conv_lstm/) of Keras trains on sequences and
the same sequences shifted by one frame. But its last layer, a convolution over time, also reads the
next frame: the one to predict. The videos at its end are predicted from true frames. A
deterministic model also blurs wherever several futures are possible.

This check finds such leaks. It replaces frame `k` and all later ones. Then the predictions up to
frame `k` must stay the same. The prediction of frame `k + 1` must change, as otherwise the model
would ignore the video.
"""


def sees_only_the_past(predict, videos):
    """Tell whether no prediction depends on the frame that it predicts or on later ones.

    `predict` takes videos `[B, T, H, W, C]` in [0, 1]. It returns the predictions of all frames
    but the given ones, `[B, T - GIVEN, H, W, C]`.
    """
    videos = media.to_float(videos)
    original = ops.convert_to_numpy(predict(videos))
    for k in range(GIVEN, FRAMES - 1):
        replaced = videos.copy()
        replaced[:, k:] = 1 - videos[:, k:]
        change = np.abs(ops.convert_to_numpy(predict(replaced)) - original)
        up_to_k, after_k = change[:, : k + 1 - GIVEN], change[:, k + 1 - GIVEN]
        assert after_k.max() > 1e-4, "the predictions do not depend on the video"
        if up_to_k.max() > 1e-5:
            return False
    return True


"""
Here is a ConvLSTM with two different last layers. The first one reads three frames at a time, the
second one reads one. A leak is a property of the layers, so random weights show it.
"""


def conv_lstm(last_layer):
    """Build a ConvLSTM that predicts from the frames before."""
    frames = keras.Input((None, SIZE, SIZE, 1))
    hidden = layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(frames)
    shifted = keras.Model(frames, last_layer(hidden))
    return lambda videos: shifted(videos[:, :-1])[:, GIVEN - 1 :]


leaking = conv_lstm(layers.Conv3D(1, (3, 3, 3), padding="same"))
causal = conv_lstm(layers.Conv3D(1, (1, 3, 3), padding="same"))
assert not sees_only_the_past(leaking, test_videos[:2])
assert sees_only_the_past(causal, test_videos[:2])
print("The check finds the convolution that reads the next frame.")

"""
## A stochastic model

The model is a variational RNN. For each frame it draws a small map of latents. They stand for
whatever the past leaves open.

- A ConvLSTM, the memory, reads the frames before.
- The prior reads the frames before, too. It says which latents are likely.
- The posterior also reads the frame itself. It says which latents explain this frame, and only
  training uses it. Its KL divergence from the prior is a part of the loss.

Prior and posterior are layers of one kind. They differ only in the frames that they get: all but
the last, or all but the first.
"""


class State(NamedTuple):
    """Everything that a rollout carries from frame to frame."""

    memory: ConvLSTMState
    prior: ConvLSTMState
    latents: DiagonalGaussian  # of the next frame


@keras.saving.register_keras_serializable(package="example")
class DiscPredictor(VideoPredictor):
    image_shape, context_frames = (SIZE, SIZE, 1), GIVEN
    latent_resolutions = (SIZE // 4,)

    def __init__(self, width=16, latents=4, **kwargs):
        super().__init__(**kwargs)
        self.width, self.latents = width, latents
        conv = dict(padding="same", activation="relu")
        self.encoder = keras.Sequential(
            [
                keras.Input(self.image_shape),
                layers.Conv2D(width, 4, 2, **conv),
                layers.Conv2D(width, 4, 2, **conv),
            ]
        )
        self.memory = ConvLSTMCell(width, groups=4)
        self.prior = LatentLevel(width, latents, groups=4)
        self.posterior = LatentLevel(width, latents, groups=4)
        self.decoder = keras.Sequential(
            [
                keras.Input((SIZE // 4, SIZE // 4, width + latents)),
                layers.Conv2D(width, 3, **conv),
                layers.Conv2D(width, 3, **conv),
                layers.Conv2DTranspose(width, 4, 2, **conv),
                layers.Conv2DTranspose(1, 4, 2, padding="same"),
            ]
        )
        self.likelihood = Likelihood("bce", 1)  # the cross-entropy of the pixels
        for layer in (self.memory, self.prior, self.posterior):
            layer.build((None, SIZE // 4, SIZE // 4, width))
        self.built = True

    def noise_shapes(self, batch, steps):
        return [(batch, steps, SIZE // 4, SIZE // 4, self.latents)]

    # Training: all frames at once.

    def _infer(self, frames, noise):
        """Return the maps of all frames but the last, the samples and their KL divergence."""
        maps = unfold_time(self.encoder(fold_time(frames)), frames.shape[1])
        before, including = maps[:, :-1], maps[:, 1:]
        prior = self._gaussians(self.prior, before)
        posterior = self._gaussians(self.posterior, including)
        steps = frames.shape[1] - GIVEN
        samples = unfold_time(posterior.sample(fold_time(noise[0])), steps)
        return before, samples, unfold_time(posterior.kl_divergence(prior), steps)

    def _gaussians(self, level, maps):
        hidden = level.hidden_sequence(maps, empty_state(maps[:, 0]))
        return level.distribution(fold_time(hidden[:, GIVEN - 1 :]))

    def infer_latents(self, frames, noise):
        _, samples, kl = self._infer(frames, noise)
        return [samples], {SIZE // 4: kl}

    def training_terms(self, frames, noise, training=False):
        before, samples, kl = self._infer(frames, noise)
        hidden = self.memory.sequence(before, empty_state(before[:, 0]))[:, GIVEN - 1 :]
        logits = self.decoder(fold_time(ops.concatenate([hidden, samples], axis=-1)))
        logits = unfold_time(logits, samples.shape[1])
        terms = {
            "reconstruction": self.likelihood(frames[:, GIVEN:], logits),
            f"kl_{SIZE // 4}": ops.sum(kl, axis=(1, 2, 3, 4)),
        }
        return terms, ops.sigmoid(logits)

    def reconstruction_term(self, frames, predictions):
        return reconstruction_loss("bce", frames, predictions)

    # Prediction: one frame at a time.

    def begin(self, context, noise=None):
        empty = empty_state(self.encoder(context[:, 0]))
        state = State(empty, empty, None)
        for k in range(GIVEN):
            state = self.observe(state, context[:, k])
        return state

    def draw(self, state, noise, mean=False):
        return state, [state.latents.mean if mean else state.latents.sample(noise[0])]

    def render(self, state, latents):
        inputs = ops.concatenate([state.memory.hidden, latents[0]], axis=-1)
        return state, ops.sigmoid(self.decoder(inputs))

    def observe(self, state, frame):
        maps = self.encoder(frame)
        _, memory = self.memory(maps, state.memory)
        latents, prior = self.prior(maps, state.prior)
        return State(memory, prior, latents)

    def get_config(self):
        return {**super().get_config(), "width": self.width, "latents": self.latents}


def empty_state(maps):
    """Return a ConvLSTM's state before the first frame."""
    return ConvLSTMState(ops.zeros_like(maps), ops.zeros_like(maps))


model = DiscPredictor(horizon=FRAMES - GIVEN)

"""
## Fit

The model brings its own loss, the negative ELBO in nats per video: the error of the frames drawn
with the posterior's latents, plus the KL divergence.
"""

model.compile(keras.optimizers.Adam(4e-3))
fitted = model.fit(
    train_videos, batch_size=25, epochs=4, validation_data=test_videos, verbose=2
).history
assert fitted["val_negative_elbo"][-1] < fitted["val_negative_elbo"][0]

"""
## Check

`one_step_ahead` predicts each frame from all true frames before it. It passes the check. Frames
drawn with the posterior's latents do not pass, as the posterior has seen them. These are
reconstructions. They are useful in training, but they are not predictions.
"""


def one_step_ahead(videos):
    """Predict each frame from the true ones before it, with every latent at its mean."""
    state, predictions = model.begin(videos[:, :GIVEN]), []
    for k in range(GIVEN, FRAMES):
        state, latents = model.draw(state, None, mean=True)
        state, frame = model.render(state, latents)
        predictions.append(frame)
        state = model.observe(state, videos[:, k])
    return ops.stack(predictions, axis=1)


def reconstructions(videos):
    """Draw each frame with the mean of the posterior's latents."""
    noise = [np.zeros(shape, "float32") for shape in model.noise_shapes(2, FRAMES - GIVEN)]
    _, frames = model(videos, noise)
    return frames


assert sees_only_the_past(one_step_ahead, test_videos[:2])
assert not sees_only_the_past(reconstructions, test_videos[:2])
print("The predictions see only the past. The reconstructions see more.")

"""
## Futures

A rollout gets the given frames and nothing else. Each seed draws another future. Where the disc
meets a wall, the futures diverge.

![Truth, four futures and the average of sixteen](../images/next_frame_futures.png)
"""

futures = model.generate(test_videos[:, :GIVEN], seeds=[list(range(16))] * len(test_videos))
futures = ops.convert_to_numpy(futures)  # [100, 16, FRAMES - GIVEN, SIZE, SIZE, 1]
given = media.to_float(test_videos[0, :GIVEN])
rows = {"truth": test_videos[0]}
for k in range(4):
    rows[f"future {k + 1}"] = np.concatenate([given, futures[0, k]])
rows["average"] = np.concatenate([given, futures[0].mean(axis=0)])
show("Futures of one video, and the average of sixteen", rows)

"""
The last row is the average of sixteen futures. It has the smallest squared error, so deterministic
models tend to it. Its blur is no lack of training.
"""

spread = futures.std(axis=1).mean(axis=(0, 2, 3, 4))
print(
    f"The futures of a video differ by {spread[0]:.3f} in the first frame, "
    f"by {spread[-1]:.3f} in the last one."
)
assert spread[-1] > 2 * spread[0]
