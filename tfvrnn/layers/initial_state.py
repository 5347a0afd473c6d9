"""The network that computes a ConvLSTM's initial state from the context frames."""

from typing import Any

import keras
from keras import ops

from tfvrnn.layers.blocks import ConvNorm
from tfvrnn.layers.conv_lstm import ConvLSTMState
from tfvrnn.tensor_ops import Shape, Tensor


@keras.saving.register_keras_serializable(package="tfvrnn")
class InitialState(keras.layers.Layer):
    """The initial state of one ConvLSTM from the context's feature maps at its resolution.

        hidden, cell = split(GN(Conv1(relu(GN(Conv1(concat_t(maps)))))))

    Source: paper, Fig. B.4. Decided: the maps of all context frames are concatenated over
    channels, whereas the figure lists C -> C.

    Args:
        filters: int, channels F of hidden and cell.
        groups: int, see `GroupNorm`.

    Call arguments:
        context_maps: float `[B, n_ctx, H, W, C]`.

    Returns:
        ConvLSTMState of `[B, H, W, F]`.
    """

    def __init__(self, filters: int, groups: int = 16, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.groups = groups

    def build(self, input_shape: Shape) -> None:
        batch, context_frames, height, width, channels = input_shape
        options: dict[str, Any] = dict(kernel_size=1, groups=self.groups, dtype=self.dtype_policy)
        self.mix = ConvNorm(channels, relu=True, name="mix", **options)
        self.mix.build((batch, height, width, context_frames * channels))
        self.project = ConvNorm(2 * self.filters, name="project", **options)
        self.project.build((batch, height, width, channels))
        self.output_shape = (batch, height, width, self.filters)  # the hidden map's, for `summary`

    def call(self, context_maps: Tensor) -> ConvLSTMState:
        _, frames, height, width, channels = context_maps.shape
        x = ops.transpose(context_maps, (0, 2, 3, 1, 4))
        x = ops.reshape(x, (-1, height, width, frames * channels))
        return ConvLSTMState(*ops.split(self.project(self.mix(x)), 2, axis=-1))

    def compute_output_shape(self, input_shape: Shape) -> ConvLSTMState:
        batch, _, height, width, _ = input_shape
        output = (batch, height, width, self.filters)
        return ConvLSTMState(output, output)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "groups": self.groups}
