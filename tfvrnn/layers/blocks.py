"""Group normalisation, convolution blocks, the residual block and the upsampling block."""

import math
from typing import Any

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.tensor_ops import Shape, Tensor


def check_groups(channels: int, groups: int) -> int:
    """Return the number of groups of `channels` channels, `min(groups, channels)`.

    Raises:
        ValueError: the channels do not divide into that many equal groups.
    """
    used = min(groups, channels)
    if used < 1 or channels % used:
        raise ValueError(
            f"`groups` must divide the channels, or exceed them. "
            f"Received: {groups} groups for {channels} channels."
        )
    return used


@keras.saving.register_keras_serializable(package="tfvrnn")
class GroupNorm(keras.layers.Layer):
    """Group normalisation of each frame, with statistics in float32.

        y = (x - mean) / sqrt(variance + 1e-5) * scale + offset

    Differs from `keras.layers.GroupNormalization`: it has `min(groups, channels)` groups, and is
    one multiply-add with a hand-written gradient (see `tensor_ops.group_norm`).

    Source: Wu and He, "Group Normalization", 2018; deviations: none.

    Args:
        groups: int, groups of channels; fewer if there are fewer channels.
        scale_initializer: initializer of the scale, float32 `[C]`.
        offset_initializer: initializer of the offset, float32 `[C]`.

    Call arguments:
        inputs: float `[N, H, W, C]`.

    Returns:
        Same as `inputs`.

    Raises:
        ValueError: no groups, channels that do not divide into them, or groups of one value.
    """

    def __init__(
        self,
        groups: int = 16,
        scale_initializer: str | keras.initializers.Initializer = "ones",
        offset_initializer: str | keras.initializers.Initializer = "zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if groups < 1:
            raise ValueError(f"`groups` must be positive. Received: {groups}")
        self.groups = groups
        self.scale_initializer = keras.initializers.get(scale_initializer)
        self.offset_initializer = keras.initializers.get(offset_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        check_groups(channels, self.groups)
        sides = input_shape[1:-1]
        if None not in sides and math.prod(sides) * channels == min(self.groups, channels):
            raise ValueError(
                "A group must have several values, as one is normalised away. "
                f"Received: {self.groups} groups, inputs {tuple(input_shape)}"
            )
        # Never cast to half precision: they multiply float32 statistics.
        options = dict(shape=(channels,), autocast=False)
        self.scale = self.add_weight(name="scale", initializer=self.scale_initializer, **options)
        self.offset = self.add_weight(name="offset", initializer=self.offset_initializer, **options)

    def call(self, inputs: Tensor) -> Tensor:
        groups = min(self.groups, inputs.shape[-1])
        return tensor_ops.group_norm(inputs, self.scale, self.offset, groups)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "groups": self.groups,
            "scale_initializer": keras.initializers.serialize(self.scale_initializer),
            "offset_initializer": keras.initializers.serialize(self.offset_initializer),
        }


@keras.saving.register_keras_serializable(package="tfvrnn")
class ConvNorm(keras.layers.Layer):
    """Convolution and group normalisation, optionally followed by ReLU.

        y = GN(Conv(x))   or   y = relu(GN(Conv(x)))

    Args:
        filters: int, output channels.
        kernel_size: int, side of the kernel.
        groups: int, see `GroupNorm`.
        relu: bool, whether a ReLU ends the block.
        padding: 'same' or 'valid'.
        scale_initializer: of the normalisation's scale.
        offset_initializer: of the normalisation's offset.

    Call arguments:
        inputs: float `[N, H, W, C]`.

    Returns:
        float `[N, H', W', filters]` in the compute dtype.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        groups: int = 16,
        relu: bool = False,
        padding: str = "same",
        scale_initializer: str | keras.initializers.Initializer = "ones",
        offset_initializer: str | keras.initializers.Initializer = "zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_groups(filters, groups)
        self.filters = filters
        self.kernel_size = kernel_size
        self.groups = groups
        self.relu = relu
        self.padding = padding
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            padding=padding,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = GroupNorm(
            groups, scale_initializer, offset_initializer, dtype=self.dtype_policy, name="norm"
        )

    def build(self, input_shape: Shape) -> None:
        self.conv.build(input_shape)
        self.norm.build(self.compute_output_shape(input_shape))

    def call(self, inputs: Tensor) -> Tensor:
        outputs = self.norm(self.conv(inputs))
        return ops.relu(outputs) if self.relu else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.conv.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        norm = self.norm.get_config()
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "relu": self.relu,
            "padding": self.padding,
            "scale_initializer": norm["scale_initializer"],
            "offset_initializer": norm["offset_initializer"],
        }


@keras.saving.register_keras_serializable(package="tfvrnn")
class ResidualBlock(keras.layers.Layer):
    """ReLU, convolution and group normalisation, twice, with a shortcut around both.

        y = short(x) + GN(Conv(relu(GN(Conv(relu(x))))))

    The hidden map has `min(cin, filters)` channels. `short` is the identity, or a 1x1
    convolution without bias if the number of channels changes. With `collapse`, the first
    convolution is 4x4 valid and the shortcut is a 4x4 max pool, so that a 4x4 map becomes 1x1.

    Source: paper, section B, "modified Resnet blocks", and Fig. B.1. The paper is silent on the
    hidden width and the shortcuts: they are decided here.

    Args:
        filters: int, output channels.
        kernel_size: int, side of the kernels ('same' padded).
        groups: int, see `GroupNorm`.
        collapse: bool, whether to turn a 4x4 map into 1x1, with unchanged channels.

    Call arguments:
        inputs: float `[N, H, W, cin]`.

    Returns:
        float `[N, H, W, filters]`, or `[N, 1, 1, filters]` from a collapsed 4x4 map.

    Raises:
        ValueError: `collapse`, but the map is not 4x4 or its channels would change.
    """

    def __init__(
        self, filters: int, kernel_size: int = 3, groups: int = 16, collapse: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        check_groups(filters, groups)
        self.filters = filters
        self.kernel_size = kernel_size
        self.groups = groups
        self.collapse = collapse

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if self.collapse and tuple(input_shape[1:]) != (4, 4, self.filters):
            raise ValueError(
                f"`collapse` needs inputs of 4x4 pixels and {self.filters} channels. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        options: dict[str, Any] = dict(groups=self.groups, dtype=self.dtype_policy)
        first = (4, "valid") if self.collapse else (self.kernel_size, "same")
        hidden = min(channels, self.filters)
        self.first = ConvNorm(
            hidden, first[0], padding=first[1], relu=True, name="first", **options
        )
        self.second = ConvNorm(self.filters, self.kernel_size, name="second", **options)
        self.shortcut = None
        if channels != self.filters:
            self.shortcut = keras.layers.Conv2D(
                self.filters,
                1,
                use_bias=False,
                data_format="channels_last",
                dtype=self.dtype_policy,
                name="shortcut",
            )
            self.shortcut.build(input_shape)
        self.first.build(input_shape)
        self.second.build(self.first.compute_output_shape(input_shape))

    def call(self, inputs: Tensor) -> Tensor:
        outputs = self.second(self.first(ops.relu(inputs)))
        if self.collapse:
            return outputs + tensor_ops.max_pool(inputs, 4)
        return outputs + (inputs if self.shortcut is None else self.shortcut(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        if self.collapse:
            height, width = 1, 1
        return (batch, height, width, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "collapse": self.collapse,
        }


@keras.saving.register_keras_serializable(package="tfvrnn")
class UpConv(keras.layers.Layer):
    """Transposed 4x4 convolution to the next resolution, group normalisation, ReLU.

        y = relu(GN(ConvT(x)));  1x1 to 4x4: stride 1, valid; else stride 2, padding 1

    Source: paper, Fig. B.2 and section B; deviations: none.

    Args:
        filters: int, output channels.
        groups: int, see `GroupNorm`.

    Call arguments:
        inputs: float `[N, r, r, C]`.

    Returns:
        float `[N, 4, 4, filters]` if r = 1, else `[N, 2 r, 2 r, filters]`.
    """

    def __init__(self, filters: int, groups: int = 16, **kwargs):
        super().__init__(**kwargs)
        check_groups(filters, groups)
        self.filters = filters
        self.groups = groups
        self.norm = GroupNorm(groups, dtype=self.dtype_policy, name="norm")

    def build(self, input_shape: Shape) -> None:
        stride, padding = (1, "valid") if input_shape[1] == 1 else (2, "same")
        self.conv = keras.layers.Conv2DTranspose(
            self.filters,
            4,
            stride,
            padding,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="conv",
        )
        self.conv.build(input_shape)
        self.norm.build(self.compute_output_shape(input_shape))

    def call(self, inputs: Tensor) -> Tensor:
        return ops.relu(self.norm(self.conv(inputs)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sides, _ = input_shape
        height, width = (side and (4 if side == 1 else 2 * side) for side in sides)
        return (batch, height, width, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "groups": self.groups}
