"""The frame encoder, from one image to a pyramid of feature maps."""

from collections.abc import Mapping
from typing import Any

import keras

from tfvrnn import tensor_ops
from tfvrnn.layers import ResidualBlock
from tfvrnn.tensor_ops import Shape, Tensor


@keras.saving.register_keras_serializable(package="tfvrnn")
class EncoderStage(keras.layers.Layer):
    """One resolution of the encoder.

    At the image's own resolution: Conv3 and a residual block. Below it: a 2x2 max pool and two
    residual blocks.

    Args:
        filters: int, output channels.
        finest: bool, whether this is the image's own resolution.
        groups: int, see `GroupNorm`.

    Call arguments:
        inputs: float `[N, H, W, C]`.

    Returns:
        float `[N, H, W, filters]`, with half the side unless `finest`.
    """

    def __init__(self, filters: int, finest: bool = False, groups: int = 16, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.finest = finest
        self.groups = groups
        options = dict(dtype=self.dtype_policy)
        if finest:
            self.first = keras.layers.Conv2D(
                filters, 3, padding="same", data_format="channels_last", name="first", **options
            )
        else:
            self.first = ResidualBlock(filters, groups=groups, name="first", **options)
        self.second = ResidualBlock(filters, groups=groups, name="second", **options)

    def build(self, input_shape: Shape) -> None:
        output_shape = self.compute_output_shape(input_shape)
        self.first.build((*output_shape[:-1], input_shape[-1]))
        self.second.build(output_shape)

    def call(self, inputs: Tensor) -> Tensor:
        inputs = inputs if self.finest else tensor_ops.max_pool(inputs, 2)
        return self.second(self.first(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        factor = 1 if self.finest else 2
        return (batch, height // factor, width // factor, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "finest": self.finest,
            "groups": self.groups,
        }


@keras.saving.register_keras_serializable(package="tfvrnn")
class FrameEncoder(keras.layers.Layer):
    """The frame encoder, the same for every frame, with a map at every resolution.

    Conv3, Res | MaxPool2, Res, Res | .. down to 8x8 | MaxPool2 (the 4x4 map) | Res with a 4x4
    valid convolution, Res (the 1x1 map).

    Source: paper, Fig. B.1. Convolutions at 1x1 are built as 1x1 (decided: only the centre tap
    of a 3x3 kernel touches data there).

    Args:
        channels: dict {resolution: channels}, finest first, ending in 8, 4, 1.
        groups: int, see `GroupNorm`.

    Call arguments:
        frames: float `[N, S, S, C]`.

    Returns:
        dict {resolution: float `[N, r, r, channels[r]]`}.
    """

    def __init__(self, channels: Mapping[int, int], groups: int = 16, **kwargs):
        super().__init__(**kwargs)
        # JSON turns the keys of a configuration into text.
        self.channels = tuple((int(r), c) for r, c in dict(channels).items())
        self.groups = groups
        finest = self.channels[0][0]
        options: dict[str, Any] = dict(groups=groups, dtype=self.dtype_policy)
        self.stages = [
            EncoderStage(c, finest=r == finest, name=f"encoder_{r}", **options)
            for r, c in self.channels
            if r >= 8
        ]
        top = dict(self.channels)[1]
        self.collapse = ResidualBlock(top, kernel_size=1, collapse=True, name="collapse", **options)
        self.top = ResidualBlock(top, kernel_size=1, name="encoder_1", **options)

    def build(self, input_shape: Shape) -> None:
        shape = input_shape
        for stage in self.stages:
            stage.build(shape)
            shape = stage.compute_output_shape(shape)
        self.collapse.build((shape[0], 4, 4, shape[-1]))
        self.top.build((shape[0], 1, 1, shape[-1]))

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The parts in order of computation: the rows of `summary(expand_nested=True)`."""
        return [*self.stages, self.collapse, self.top]

    def call(self, frames: Tensor) -> dict[int, Tensor]:
        maps, x = {}, frames
        for (resolution, _), stage in zip(self.channels, self.stages):
            x = maps[resolution] = stage(x)
        maps[4] = tensor_ops.max_pool(x, 2)
        maps[1] = self.top(self.collapse(maps[4]))
        return maps

    def compute_output_shape(self, input_shape: Shape) -> dict[int, Shape]:
        return {r: (input_shape[0], r, r, c) for r, c in self.channels}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": dict(self.channels),
            "groups": self.groups,
        }
