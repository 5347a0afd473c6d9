"""The frame decoder, from latents and the last frame's maps to the next frame."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.layers import ConvLSTMCell, ConvLSTMState, ConvNorm, UpConv
from tfvrnn.tensor_ops import Shape, Tensor


@keras.saving.register_keras_serializable(package="tfvrnn")
class FrameDecoder(keras.layers.Layer):
    """The frame decoder (likelihood network), with a ConvLSTM at every resolution.

    From 1x1 up: (concatenate z at a latent resolution), ConvLSTM, UpConv to the next
    resolution. At the image's resolution: ConvLSTM, Conv3 + GN + ReLU, Conv3. With `skips`, every
    resolution above 1x1 also sees the encoder's map of the last frame, as in a U-Net. With
    `dense`, every resolution also sees the latents of all coarser levels, upsampled by repetition.

    Source: paper, Fig. B.2, which has neither skips nor dense latents. The latter follow Lee et
    al., "Stochastic Adversarial Video Prediction", 2018. Convolutions at 1x1 are built as 1x1
    (decided, see `FrameEncoder`).

    Args:
        channels: dict {resolution: channels}, in any order; 1, 4, 8 and their doublings.
        latent_filters: dict {latent resolution: channels of z}.
        image_channels: int, channels of the frame.
        groups: int, see `GroupNorm`.
        forget_bias: float, initial offset of the ConvLSTMs' forget gates.
        skips: bool, whether the maps above 1x1 are inputs, too.
        dense: bool, whether the latents of all coarser levels are inputs of every resolution, too.
        remat: bool, whether `sequence` computes each resolution's activations again for the
            gradient instead of keeping them. This takes less memory and more time, and gives the
            same numbers.

    Call arguments:
        maps: dict {resolution: `[B, r, r, C]`}, the encoder's maps of the last frame: the one at
            1x1, and with `skips` those at all resolutions.
        latents: dict {resolution: `[B, r, r, Z]`}.
        states: tuple of ConvLSTMState, from 1x1 up.

    Returns:
        (logits of the frame, `[B, S, S, image_channels]` in the compute dtype; states).
    """

    def __init__(
        self,
        channels: Mapping[int, int],
        latent_filters: Mapping[int, int],
        image_channels: int,
        groups: int = 16,
        forget_bias: float = 0.0,
        skips: bool = False,
        dense: bool = False,
        remat: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # JSON turns the keys of a configuration into text.
        self.channels = tuple(sorted((int(r), c) for r, c in dict(channels).items()))
        self.latent_filters = tuple(sorted((int(r), c) for r, c in dict(latent_filters).items()))
        self.image_channels = image_channels
        self.groups = groups
        self.forget_bias = forget_bias
        self.skips = skips
        self.dense = dense
        self.remat = remat
        options: dict[str, Any] = dict(groups=groups, dtype=self.dtype_policy)
        self.cells = [
            ConvLSTMCell(
                c,
                kernel_size=1 if r == 1 else 3,
                forget_bias=forget_bias,
                name=f"decoder_{r}",
                **options,
            )
            for r, c in self.channels
        ]
        self.ups = [UpConv(c, name=f"up_{r}", **options) for r, c in self.channels[1:]]
        self.ups.append(ConvNorm(self.channels[-1][1], relu=True, name="refine", **options))
        self.to_image = keras.layers.Conv2D(
            image_channels,
            3,
            padding="same",
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="to_image",
        )

    def build(self, maps_shape: Any, latents_shape: Any = None, states_shape: Any = None) -> None:
        channels_in = self.channels[0][1]
        for (resolution, channels), cell, up in zip(self.channels, self.cells, self.ups):
            shape = (None, resolution, resolution)
            skip = channels if self._skips_at(resolution) else 0
            latents = sum(c for r, c in self.latent_filters if self._sees(resolution, r))
            cell.build((*shape, channels_in + skip + latents))
            up.build((*shape, channels))
            channels_in = up.compute_output_shape((*shape, channels))[-1]
        self.to_image.build((*shape, channels_in))
        self.output_shape = self.to_image.compute_output_shape((*shape, channels_in))

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The parts in order of computation: the rows of `summary(expand_nested=True)`."""
        pairs = zip(self.cells, self.ups)
        return [*(part for pair in pairs for part in pair), self.to_image]

    def call(
        self, maps: dict[int, Tensor], latents: dict[int, Tensor], states: Sequence[Any]
    ) -> tuple[Tensor, tuple[ConvLSTMState, ...]]:
        x, new_states = maps[1], []
        for (resolution, _), cell, up, state in zip(self.channels, self.cells, self.ups, states):
            hidden, state = cell(self._inputs(resolution, x, maps, latents), state)
            new_states.append(state)
            x = up(hidden)
        return self.to_image(x), tuple(new_states)

    def _skips_at(self, resolution):
        return self.skips and resolution > 1

    def _sees(self, resolution, level):
        """Return whether a resolution's ConvLSTM sees the latents of a level."""
        return level == resolution or (self.dense and level < resolution)

    def _inputs(self, resolution, x, maps, latents):
        """Concatenate the inputs of a resolution's ConvLSTM, in the dtype of `x`."""
        parts = [x]
        if self._skips_at(resolution):
            parts.append(maps[resolution])
        for level, _ in self.latent_filters:
            if self._sees(resolution, level):
                parts.append(_upsampled(ops.cast(latents[level], x.dtype), resolution))
        return ops.concatenate([ops.cast(part, x.dtype) for part in parts], axis=-1)

    def compute_output_shape(
        self, maps_shape: Any, latents_shape: Any = None, states_shape: Any = None
    ) -> tuple[Shape, tuple[ConvLSTMState, ...]]:
        maps = [(maps_shape[1][0], r, r, c) for r, c in self.channels]
        states = tuple(ConvLSTMState(shape, shape) for shape in maps)
        return (*maps[-1][:-1], self.image_channels), states

    def sequence(
        self, maps: dict[int, Tensor], latents: dict[int, Tensor], states: Sequence[Any]
    ) -> Tensor:
        """Run all steps at once, from `[B, T, ...]` to logits `[B, T, ...]`.

        The result equals that of repeated calls. It is computed level by level. Only the hidden
        map's part of each ConvLSTM runs in time; everything else folds time into the batch.
        """
        x = maps[1]
        for (resolution, _), cell, up, state in zip(self.channels, self.cells, self.ups, states):
            level = functools.partial(_level_sequence, cell, up)
            if self.remat:
                level = keras.remat(level)
            x = level(self._inputs(resolution, x, maps, latents), *state)
        return tensor_ops.unfold_time(self.to_image(tensor_ops.fold_time(x)), x.shape[1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": dict(self.channels),
            "latent_filters": dict(self.latent_filters),
            "image_channels": self.image_channels,
            "groups": self.groups,
            "forget_bias": self.forget_bias,
            "skips": self.skips,
            "dense": self.dense,
            "remat": self.remat,
        }


def _upsampled(latent, resolution):
    """Upsample `[B, r, r, Z]`, or `[B, T, r, r, Z]` with all steps."""
    if len(latent.shape) == 4:
        return tensor_ops.upsample_nearest(latent, resolution)
    whole = tensor_ops.upsample_nearest(tensor_ops.fold_time(latent), resolution)
    return tensor_ops.unfold_time(whole, latent.shape[1])


def _level_sequence(cell, up, x, *state):
    """Run one resolution's ConvLSTM over all steps, then `up`: `[B, T, ...]` in and out."""
    hidden = cell.sequence(x, state)
    return tensor_ops.unfold_time(up(tensor_ops.fold_time(hidden)), x.shape[1])
