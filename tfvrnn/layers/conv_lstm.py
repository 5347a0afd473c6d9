"""The convolutional LSTM with group-normalised gates."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.layers.blocks import ConvNorm, GroupNorm, check_groups
from tfvrnn.tensor_ops import Shape, Tensor


class ConvLSTMState(NamedTuple):
    """The state of a ConvLSTM: the hidden map and the normalised cell, each `[B, H, W, F]`."""

    hidden: Any
    cell: Any


@keras.saving.register_keras_serializable(package="tfvrnn")
class ForgetOffsets(keras.initializers.Initializer):
    """Initial offsets of the gates (i, f, o, g) `[4 F]`: `forget_bias` for f, 0 for the others."""

    def __init__(self, forget_bias: float):
        self.forget_bias = forget_bias

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        filters = shape[0] // 4
        offsets = [0.0] * filters + [self.forget_bias] * filters + [0.0] * (2 * filters)
        return ops.convert_to_tensor(offsets, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"forget_bias": self.forget_bias}


@keras.saving.register_keras_serializable(package="tfvrnn")
class ConvLSTMRecurrence(keras.layers.Layer):
    """The recurrent half of a ConvLSTM step: from the inputs' part of the gates to the state.

        gates = input_gates + GN(Conv(hidden));  i, f, o, g = split(gates)
        cell' = GN(sigmoid(f) * cell + sigmoid(i) * tanh(g));  hidden' = sigmoid(o) * tanh(cell')

    Once built, it is also a cell for `keras.layers.RNN`.

    Args:
        filters: int, channels of hidden and cell.
        kernel_size: int, side of the kernel.
        groups: int, see `GroupNorm`.
        forget_bias: float, initial offset of the forget gates.

    Call arguments:
        input_gates: float `[B, H, W, 4 F]`.
        state: (hidden, cell), each `[B, H, W, F]`.

    Returns:
        (hidden, [hidden, cell]), each `[B, H, W, F]`. `keras.layers.RNN` requires the list.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        groups: int = 16,
        forget_bias: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.groups = groups
        self.forget_bias = forget_bias
        self.recurrent = ConvNorm(
            4 * filters,
            kernel_size,
            groups,
            offset_initializer=ForgetOffsets(forget_bias),
            dtype=self.dtype_policy,
            name="recurrent",
        )
        self.cell_norm = GroupNorm(groups, dtype=self.dtype_policy, name="cell_norm")

    def build(self, input_gates_shape: Shape, state_shape: Any = None) -> None:
        batch, height, width, _ = input_gates_shape
        map_shape = (batch, height, width, self.filters)
        self.state_size = [map_shape[1:], map_shape[1:]]
        self.recurrent.build(map_shape)
        self.cell_norm.build(map_shape)

    def call(self, input_gates: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        hidden, cell = state
        gates = input_gates + self.recurrent(hidden)
        i, f, o, g = ops.split(gates, 4, axis=-1)
        cell = self.cell_norm(ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g))
        hidden = ops.sigmoid(o) * ops.tanh(cell)
        return hidden, [hidden, cell]

    def compute_output_shape(
        self, input_gates_shape: Shape, state_shape: Any = None
    ) -> tuple[Shape, list[Shape]]:
        output = (*input_gates_shape[:-1], self.filters)
        return output, [output, output]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "forget_bias": self.forget_bias,
        }


@keras.saving.register_keras_serializable(package="tfvrnn")
class ConvLSTMCell(keras.layers.Layer):
    """One convolutional LSTM step with group-normalised gates.

        gates = GN(Conv(x)) + GN(Conv(hidden));  i, f, o, g = split(gates)
        cell' = GN(sigmoid(f) * cell + sigmoid(i) * tanh(g));  hidden' = sigmoid(o) * tanh(cell')

    Differs from `keras.layers.ConvLSTM2D`: gates and cell are normalised, the gates have another
    order, the forget gate's offset is 0 by default, and the next step gets the normalised cell.
    Weights, in this order: input kernel `[k, k, C, 4 F]`, bias, norm scale, offset `[4 F]`;
    recurrent kernel `[k, k, F, 4 F]`, bias, norm scale, offset `[4 F]`; cell norm scale, offset
    `[F]`.

    Source: paper, section B, "ConvLSTM layers". GroupNorm is placed as in the authors' release
    (decided).

    Args:
        filters: int, channels F of hidden and cell.
        kernel_size: int, side k of both kernels.
        groups: int, see `GroupNorm`.
        forget_bias: float, initial offset of the forget gates, in the recurrent norm.

    Call arguments:
        inputs: float `[B, H, W, C]`.
        state: (hidden, cell), each float `[B, H, W, F]`.

    Returns:
        (hidden, ConvLSTMState(hidden, cell)), float `[B, H, W, F]` in the compute dtype.

    Raises:
        ValueError: filters below 1, or filters that do not divide into the groups.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        groups: int = 16,
        forget_bias: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if filters < 1:
            raise ValueError(f"`filters` must be positive. Received: {filters}")
        for channels in (4 * filters, filters):  # gates, cell
            check_groups(channels, groups)
        self.filters = filters
        self.kernel_size = kernel_size
        self.groups = groups
        self.forget_bias = forget_bias
        options: dict[str, Any] = dict(
            kernel_size=kernel_size, groups=groups, dtype=self.dtype_policy
        )
        self.inputs_to_gates = ConvNorm(4 * filters, name="inputs_to_gates", **options)
        self.recurrence = ConvLSTMRecurrence(
            filters, forget_bias=forget_bias, name="recurrence", **options
        )

    def build(self, inputs_shape: Shape, state_shape: Any = None) -> None:
        self.inputs_to_gates.build(inputs_shape)
        self.recurrence.build(self.inputs_to_gates.compute_output_shape(inputs_shape))
        self.output_shape = (*inputs_shape[:-1], self.filters)  # the hidden map's, for `summary`

    def call(self, inputs: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, ConvLSTMState]:
        hidden, state = self.recurrence(self.inputs_to_gates(inputs), state)
        return hidden, ConvLSTMState(*state)

    def sequence(self, inputs: Tensor, state: Sequence[Tensor]) -> Tensor:
        """Run all steps at once, from inputs `[B, T, H, W, C]` to hidden `[B, T, H, W, F]`.

        `state` is the initial state. The result equals that of T calls. The inputs' part of the
        gates has no recurrence, so it is computed for all frames together. Only the hidden map's
        part runs in a loop.
        """
        return self.recur(self.gates_sequence(inputs), state)

    def gates_sequence(self, inputs: Tensor) -> Tensor:
        """Compute the inputs' part of the gates for all steps, `[B, T, H, W, 4 F]`."""
        gates = self.inputs_to_gates(tensor_ops.fold_time(inputs))
        return tensor_ops.unfold_time(gates, inputs.shape[1])

    def recur(self, gates: Tensor, state: Sequence[Tensor]) -> Tensor:
        """Run the recurrence over the inputs' part of the gates, to hidden `[B, T, H, W, F]`."""
        loop = keras.layers.RNN(self.recurrence, return_sequences=True, dtype=self.dtype_policy)
        return loop(gates, initial_state=list(state))

    def compute_output_shape(
        self, inputs_shape: Shape, state_shape: Any = None
    ) -> tuple[Shape, ConvLSTMState]:
        output = (*inputs_shape[:-1], self.filters)
        return output, ConvLSTMState(output, output)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "forget_bias": self.forget_bias,
        }
