"""One level of the latent hierarchy, of the prior or of the posterior."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.config import MINIMUM_GROUP
from tfvrnn.distributions import LN_2, DiagonalGaussian
from tfvrnn.layers.blocks import ConvNorm
from tfvrnn.layers.conv_lstm import ConvLSTMCell, ConvLSTMState
from tfvrnn.tensor_ops import Shape, Tensor


def head_groups(channels: int, groups: int, least: int = 1) -> int:
    """Return the largest number, up to `groups`, of equal groups with `least` channels or more."""
    most = min(groups, max(1, channels // least))
    return max(n for n in range(1, most + 1) if channels % n == 0)


@keras.saving.register_keras_serializable(package="tfvrnn")
class LatentLevel(keras.layers.Layer):
    """One level of the densely connected latent hierarchy, of the prior or of the posterior.

        gates_t = GN(Conv(GN(Conv1(E))))            E: E_{t-1} for the prior, E_t for the posterior
        gates_t += GN(Conv(z_{t-1}^l))              only with `feedback`; z_0 = 0
        hidden_t = ConvLSTM(gates_t)
        mean, raw = split(GN(Conv1(concat(hidden_t, z_t^1 .. z_t^{l-1}))))
        z_t^l ~ N(mean, softplus(raw + offset) + 1e-6)

    Nearest-neighbour upsampling brings the lower levels' samples to this resolution. Without
    `feedback`, the recurrence reads only encoder maps. The last GroupNorm starts at scale 0 with
    small offsets (normal, standard deviation 1e-3), so that posterior and prior are almost equal
    at the start.

    Source: paper, eqs. 7 and 8 (dense connections; `feedback` is their z_{<t}^l), Fig. B.3. See
    docs/model.md for the choices that the figure leaves open.

    Args:
        filters: int, channels F of the recurrence.
        latent_filters: int, channels Z of the latent; `filters` by default.
        lower_filters: tuple of int, latent channels of the levels below, coarsest first.
        kernel_size: int, side of the ConvLSTM's kernels.
        groups: int, see `GroupNorm`. The last norm has fewer if they do not divide its channels,
            or if a group at 1x1 (where `kernel_size` is 1) would have fewer than four channels.
        feedback: bool, whether the gates see the level's own previous sample.
        forget_bias: float, initial offset of the ConvLSTM's forget gates.
        initial_variance: float, variance if raw is 0, which sets the offset. Raw is almost 0
            before training. The default is log 2, for an offset of 0.

    Call arguments:
        maps: float `[B, r, r, C]`.
        state: ConvLSTMState of `[B, r, r, F]`.
        lower: list of the lower levels' samples, each `[B, r', r', Z']`.
        latent: float `[B, r, r, Z]`, this level's previous sample; only with `feedback`.

    Returns:
        (DiagonalGaussian of float32 `[B, r, r, Z]`, ConvLSTMState).
    """

    def __init__(
        self,
        filters: int,
        latent_filters: int | None = None,
        lower_filters: Sequence[int] = (),
        kernel_size: int = 3,
        groups: int = 16,
        feedback: bool = False,
        forget_bias: float = 0.0,
        initial_variance: float = LN_2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.latent_filters = latent_filters or filters
        self.lower_filters = tuple(lower_filters)
        self.kernel_size = kernel_size
        self.groups = groups
        self.forget_bias = forget_bias
        self.initial_variance = initial_variance
        options: dict[str, Any] = dict(groups=groups, dtype=self.dtype_policy)
        self.enter = ConvNorm(filters, 1, name="enter", **options)
        self.cell = ConvLSTMCell(
            filters, kernel_size, forget_bias=forget_bias, name="cell", **options
        )
        self.feedback = None
        if feedback:
            self.feedback = ConvNorm(4 * filters, kernel_size, name="feedback", **options)
        least = MINIMUM_GROUP if kernel_size == 1 else 1
        self.head = ConvNorm(
            2 * self.latent_filters,
            1,
            head_groups(2 * self.latent_filters, groups, least),
            scale_initializer="zeros",
            offset_initializer=keras.initializers.RandomNormal(stddev=1e-3),
            dtype=self.dtype_policy,
            name="head",
        )

    def build(
        self,
        maps_shape: Shape,
        state_shape: Any = None,
        lower_shape: Any = None,
        latent_shape: Any = None,
    ) -> None:
        pixels = maps_shape[:-1]
        self.enter.build(maps_shape)
        self.cell.build((*pixels, self.filters))
        if self.feedback:
            self.feedback.build((*pixels, self.latent_filters))
        self.head.build((*pixels, self.filters + sum(self.lower_filters)))
        self.output_shape = (*pixels, self.latent_filters)  # the latent's, for `summary`

    def call(
        self,
        maps: Tensor,
        state: Sequence[Tensor],
        lower: Sequence[Tensor] = (),
        latent: Tensor | None = None,
    ) -> tuple[DiagonalGaussian, ConvLSTMState]:
        # Maps and state bring x_{<t} of eq. 7 (prior), or x_{<=t} of eq. 8 (posterior).
        gates = self.cell.inputs_to_gates(self.enter(maps))
        if self.feedback:
            gates = gates + self.feedback(latent)  # z_{<t}^l of eqs. 7 and 8
        hidden, state = self.cell.recurrence(gates, state)
        return self.distribution(hidden, lower), ConvLSTMState(*state)

    def compute_output_shape(
        self,
        maps_shape: Shape,
        state_shape: Any = None,
        lower_shape: Any = None,
        latent_shape: Any = None,
    ) -> tuple[DiagonalGaussian, ConvLSTMState]:
        latent = (*maps_shape[:-1], self.latent_filters)
        hidden = (*maps_shape[:-1], self.filters)
        return DiagonalGaussian(latent, latent), ConvLSTMState(hidden, hidden)

    def infer(
        self, maps: Tensor, state: Sequence[Tensor], lower: Sequence[Tensor], noise: Tensor
    ) -> tuple[DiagonalGaussian, Tensor]:
        """Draw the latents of all steps, as the posterior does for a video.

        Args:
            maps: float `[B, T, r, r, C]`.
            state: the initial ConvLSTMState.
            lower: the lower levels' samples, each `[B T, r', r', Z']`.
            noise: float `[B, T, r, r, Z]`, standard normal.

        Returns:
            (DiagonalGaussian, samples), float32 `[B T, r, r, Z]`.
        """
        if not self.feedback:
            distribution = self.sequence(maps, state, lower)
            return distribution, distribution.sample(tensor_ops.fold_time(noise))
        steps = maps.shape[1]
        inputs_BTHWX = ops.concatenate(
            [
                self._gates(maps),
                *[tensor_ops.unfold_time(z, steps) for z in self._upsampled(lower, maps.shape[2])],
                noise,
            ],
            axis=-1,
        )
        loop = keras.layers.RNN(_DrawingStep(self), return_sequences=True, dtype=self.dtype_policy)
        outputs = tensor_ops.fold_time(
            loop(inputs_BTHWX, initial_state=[*state, ops.zeros_like(noise[:, 0])])
        )
        raw, samples = ops.split(outputs, [2 * self.latent_filters], axis=-1)
        return self._gaussian(raw), samples

    def sequence(
        self,
        maps: Tensor,
        state: Sequence[Tensor],
        lower: Sequence[Tensor],
        latents: Tensor | None = None,
    ) -> DiagonalGaussian:
        """Compute the Gaussians of all steps from given samples, as the prior does for a video.

        Args:
            maps, state, lower: same as for `infer`.
            latents: float `[B, T, r, r, Z]`, this level's samples; only with `feedback`.

        Returns:
            DiagonalGaussian of float32 `[B T, r, r, Z]`.
        """
        hidden = self.hidden_sequence(maps, state, latents)
        return self.distribution(tensor_ops.fold_time(hidden), lower)

    def hidden_sequence(self, maps: Tensor, state: Sequence[Tensor], latents: Any = None) -> Tensor:
        """Run the recurrence over all steps, from `[B, T, r, r, C]` to hidden `[B, T, r, r, F]`."""
        gates = self._gates(maps)
        if self.feedback:
            # z_{<t}^l of eqs. 7 and 8: step t sees the sample of t - 1, the first step sees zeros.
            earlier = ops.split(latents, [latents.shape[1] - 1], axis=1)[0]
            earlier = ops.concatenate([ops.zeros_like(latents[:, :1]), earlier], axis=1)
            fed_back = self.feedback(tensor_ops.fold_time(earlier))
            gates = gates + tensor_ops.unfold_time(fed_back, maps.shape[1])
        return self.cell.recur(gates, state)

    def distribution(self, hidden: Tensor, lower: Sequence[Tensor] = ()) -> DiagonalGaussian:
        """Compute the level's Gaussian from its hidden map and the lower levels' samples."""
        # Factor l of eq. 7 (prior) or eq. 8 (posterior), given z_t^{<l}: the samples `[N, ...]`.
        return self._gaussian(self._raw(hidden, self._upsampled(lower, hidden.shape[1])))

    def _gaussian(self, raw):
        return DiagonalGaussian.from_raw(raw, self.initial_variance)

    def _gates(self, maps):
        """Compute the maps' part of the gates for all steps, `[B, T, r, r, 4 F]`."""
        entered = self.enter(tensor_ops.fold_time(maps))
        return self.cell.gates_sequence(tensor_ops.unfold_time(entered, maps.shape[1]))

    def _raw(self, hidden, lower):
        return self.head(ops.concatenate([hidden, *lower], axis=-1))

    def _upsampled(self, lower, resolution):
        return [
            ops.cast(tensor_ops.upsample_nearest(z, resolution), self.compute_dtype) for z in lower
        ]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "latent_filters": self.latent_filters,
            "lower_filters": self.lower_filters,
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "feedback": self.feedback is not None,
            "forget_bias": self.forget_bias,
            "initial_variance": self.initial_variance,
        }


class _DrawingStep(keras.layers.Layer):
    """One step of a level with feedback, with its draw, as a cell for `keras.layers.RNN`.

    Inputs are [gates, upsampled lower samples, noise], and outputs are [raw, sample]. Both are
    concatenated over channels, because `keras.layers.RNN` takes and returns one tensor.
    """

    def __init__(self, level):
        super().__init__(dtype=level.dtype_policy)
        self.level = level
        self.state_size = [level.filters, level.filters, level.latent_filters]

    def call(self, inputs, state):
        level = self.level
        hidden, cell, latent = state
        gates, lower, noise = ops.split(
            inputs, [4 * level.filters, 4 * level.filters + sum(level.lower_filters)], axis=-1
        )
        # Not in place: on PyTorch, `gates` is a view of the inputs.
        gates = gates + level.feedback(latent)
        hidden, [hidden, cell] = level.cell.recurrence(gates, [hidden, cell])
        raw = level._raw(hidden, [lower])
        latent = level._gaussian(raw).sample(noise)
        return ops.concatenate([raw, latent], axis=-1), [hidden, cell, latent]
