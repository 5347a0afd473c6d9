"""SVG's frame encoders and decoders: DCGAN-64 and VGG-64."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.tensor_ops import Shape, Tensor

SIDE = 64
WIDTHS = (64, 128, 256, 512)  # channels at 64x64 (VGG) or 32x32 (DCGAN) and below
SLOPE = 0.2
# Same as the original: PyTorch's momentum is the share of the new value, 0.1.
BATCH_NORM = dict(momentum=0.9, epsilon=1e-5)


def normal(mean: float = 0.0) -> keras.initializers.Initializer:
    """Make an initializer for convolutions, dense layers and, with mean 1, BatchNorm's scales."""
    return keras.initializers.RandomNormal(mean, 0.02)


@keras.saving.register_keras_serializable(package="tfvrnn")
class ConvBatchNorm(keras.layers.Layer):
    """Convolution (plain or transposed), BatchNorm, and LeakyReLU 0.2 or tanh.

    Args:
        filters: int, output channels.
        kernel_size, stride, padding: of the convolution; 'same' or 'valid'. 'same' at stride 2
            pads one pixel on every side, as PyTorch's padding 1 does for a 4x4 kernel.
        transposed: bool.
        activation: 'leaky_relu' or 'tanh'.

    Call arguments:
        inputs: float `[N, H, W, C]`.
        training: bool, whether BatchNorm uses the batch's statistics and updates its own.

    Returns:
        float `[N, H', W', filters]`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: str = "same",
        transposed: bool = False,
        activation: str = "leaky_relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.options: dict[str, Any] = dict(
            filters=filters, kernel_size=kernel_size, stride=stride, padding=padding,
            transposed=transposed, activation=activation,
        )  # fmt: skip
        kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
        self.conv = kind(
            filters, kernel_size, stride, padding, kernel_initializer=normal(),
            data_format="channels_last", dtype=self.dtype_policy, name="conv",
        )  # fmt: skip
        self.norm = keras.layers.BatchNormalization(
            gamma_initializer=normal(1.0), dtype=self.dtype_policy, name="norm", **BATCH_NORM
        )
        self.activation = activation

    def build(self, input_shape: Shape) -> None:
        self.conv.build(input_shape)
        self.norm.build((None, None, None, self.options["filters"]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(self.conv.compute_output_shape(input_shape))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        x = self.norm(self.conv(inputs), training=training)
        return ops.tanh(x) if self.activation == "tanh" else ops.leaky_relu(x, SLOPE)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.options}


def _blocks(convs, sizes):
    """Group the convolutions by block."""
    left = iter(convs)
    return [list(itertools.islice(left, size)) for size in sizes]


@keras.saving.register_keras_serializable(package="tfvrnn")
class SVGEncoder(keras.layers.Layer):
    """Encodes a 64x64 frame as a vector, with skip connections for the decoder.

    DCGAN: 4x4 convolutions at stride 2 to 64, 128, 256, 512 channels. VGG: 2, 2, 3, 3
    convolutions 3x3 with max pools between. Then a 4x4 valid convolution, BatchNorm, tanh.

    Source: Denton and Fergus, "Stochastic Video Generation with a Learned Prior", 2018, and its
    code, models/dcgan_64.py and vgg_64.py; deviations: none.

    Args:
        kind: 'dcgan' or 'vgg'.
        channels: int, of the frame.
        features: int, length of the vector.

    Call arguments:
        frames: float `[N, 64, 64, C]`.
        training: bool.

    Returns:
        (vector `[N, features]`, tuple of four maps, finest first).
    """

    def __init__(self, kind: str, channels: int, features: int = 128, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.channels, self.features = kind, channels, features
        options = dict(dtype=self.dtype_policy)
        # A flat list: TensorFlow's checkpoints do not see layers in lists of lists.
        self.block_sizes = (1, 1, 1, 1) if kind == "dcgan" else (2, 2, 3, 3)
        size, stride, finest = (4, 2, 32) if kind == "dcgan" else (3, 1, 64)
        self.convs = [
            ConvBatchNorm(width, size, stride, name=f"encoder_{finest >> level}_{k + 1}", **options)
            for level, (width, convs) in enumerate(zip(WIDTHS, self.block_sizes))
            for k in range(convs)
        ]
        self.to_vector = ConvBatchNorm(
            features, 4, 1, "valid", activation="tanh", name="to_vector", **options
        )

    def build(self, input_shape: Shape | None = None) -> None:
        shape = (None, SIDE, SIDE, self.channels)
        for number, block in enumerate(_blocks(self.convs, self.block_sizes)):
            if self.kind == "vgg" and number:
                shape = (None, shape[1] // 2, shape[2] // 2, shape[3])
            for conv in block:
                conv.build(shape)
                shape = conv.compute_output_shape(shape)
        self.to_vector.build((None, 4, 4, shape[3]))
        self.output_shape = (None, self.features)  # the vector's, for `summary`

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """Its parts in the order of computation: the rows of `summary(expand_nested=True)`."""
        return [*self.convs, self.to_vector]

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, tuple[Shape, ...]]:
        batch, side = input_shape[0], 32 if self.kind == "dcgan" else 64
        maps = tuple((batch, side >> k, side >> k, width) for k, width in enumerate(WIDTHS))
        return (batch, self.features), maps

    def call(self, frames: Tensor, training: bool = False) -> tuple[Tensor, tuple[Tensor, ...]]:
        x, skips = frames, []
        for number, block in enumerate(_blocks(self.convs, self.block_sizes)):
            if self.kind == "vgg" and number:
                x = tensor_ops.max_pool(x, 2)
            for conv in block:
                x = conv(x, training=training)
            skips.append(x)
        if self.kind == "vgg":
            x = tensor_ops.max_pool(x, 2)
        vector = self.to_vector(x, training=training)
        return ops.reshape(vector, (-1, self.features)), tuple(skips)

    def get_config(self) -> dict[str, Any]:
        config = {"kind": self.kind, "channels": self.channels, "features": self.features}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="tfvrnn")
class SVGDecoder(keras.layers.Layer):
    """Decodes a vector and the encoder's maps to a 64x64 frame. It mirrors the encoder.

    Source: same as `SVGEncoder`; deviations: none.

    Args:
        kind, channels, features: same as for `SVGEncoder`.

    Call arguments:
        vector: float `[N, features]`.
        skips: the encoder's maps.
        training: bool.

    Returns:
        float `[N, 64, 64, C]` in [0, 1].
    """

    def __init__(self, kind: str, channels: int, features: int = 128, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.channels, self.features = kind, channels, features
        options = dict(dtype=self.dtype_policy)
        self.from_vector = ConvBatchNorm(
            WIDTHS[-1], 4, 1, "valid", True, name="from_vector", **options
        )
        if kind == "dcgan":
            blocks = [(width,) for width in reversed(WIDTHS[:-1])]
            kernel: dict[str, Any] = dict(kernel_size=4, stride=2, padding="same", transposed=True)
        else:
            blocks = [(512, 512, 256), (256, 256, 128), (128, 64), (64,)]
            kernel = {}
        self.block_sizes = tuple(map(len, blocks))
        self.convs = [
            ConvBatchNorm(width, **kernel, name=f"decoder_{8 << level}_{k + 1}", **options)
            for level, widths in enumerate(blocks)
            for k, width in enumerate(widths)
        ]
        # DCGAN's last convolution also doubles the side. Both are transposed, as in the original.
        size, stride = (4, 2) if kind == "dcgan" else (3, 1)
        self.to_image = keras.layers.Conv2DTranspose(
            channels,
            size,
            stride,
            "same",
            kernel_initializer=normal(),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="to_image",
        )

    def build(self, vector_shape: Shape | None = None, skips_shape: Any = None) -> None:
        self.from_vector.build((None, 1, 1, self.features))
        side, before = 4, WIDTHS[-1]
        for block, skip in zip(_blocks(self.convs, self.block_sizes), reversed(WIDTHS)):
            side = 2 * side if self.kind == "vgg" else side
            before += skip
            for conv in block:
                conv.build((None, side, side, before))
                _, side, _, before = conv.compute_output_shape((None, side, side, before))
        if self.kind == "dcgan":
            before += WIDTHS[0]
        self.to_image.build((None, side, side, before))

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """Its parts in the order of computation: the rows of `summary(expand_nested=True)`."""
        return [self.from_vector, *self.convs, self.to_image]

    def compute_output_shape(self, vector_shape: Shape, skips_shape: Any = None) -> Shape:
        return (vector_shape[0], SIDE, SIDE, self.channels)

    def call(self, vector: Tensor, skips: Sequence[Tensor], training: bool = False) -> Tensor:
        x = self.from_vector(ops.reshape(vector, (-1, 1, 1, self.features)), training=training)
        skips = list(skips)
        for block in _blocks(self.convs, self.block_sizes):
            if self.kind == "vgg":
                x = tensor_ops.upsample_nearest(x, 2 * x.shape[1])
            x = ops.concatenate([x, skips.pop()], axis=-1)
            for conv in block:
                x = conv(x, training=training)
        if skips:
            x = ops.concatenate([x, skips.pop()], axis=-1)
        return ops.sigmoid(self.to_image(x))

    def get_config(self) -> dict[str, Any]:
        config = {"kind": self.kind, "channels": self.channels, "features": self.features}
        return {**super().get_config(), **config}
