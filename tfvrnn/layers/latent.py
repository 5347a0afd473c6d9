"""One level of the latent hierarchy, of the prior or of the posterior."""

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.distributions import DiagonalGaussian
from tfvrnn.layers.blocks import ConvNorm
from tfvrnn.layers.conv_lstm import ConvLSTMCell


class LatentLevel(keras.layers.Layer):
    """One level of the densely connected latent hierarchy, of the prior or of the posterior.

        hidden_t = ConvLSTM(GN(Conv1(E)))          E: E_{t-1} for the prior, E_t for the posterior
        mean, raw = split(GN(Conv1(concat(hidden_t, z_t^1 .. z_t^{l-1}))))
        z_t^l ~ N(mean, softplus(raw) + 1e-6)

    with the lower levels' samples upsampled nearest to this resolution. The recurrence reads
    encoder maps alone. The last GroupNorm starts at scale 0 with small offsets (normal, standard
    deviation 1e-3), so that posterior and prior are almost equal at the start.

    Source: paper, eqs. 7 and 8 (dense connections), Fig. B.3; see docs/model.md for what the
    figure leaves open.

    Args:
        filters: int, channels Z of the latent, and of the recurrence.
        lower_filters: tuple of int, channels of the levels below, coarsest first.
        kernel_size: int, side of the ConvLSTM's kernels.
        groups: int, see `GroupNorm`.

    Call arguments:
        maps: float `[B, r, r, C]`.
        state: ConvLSTMState of `[B, r, r, Z]`.
        lower: list of the lower levels' samples, each `[B, r', r', Z']`.

    Returns:
        (DiagonalGaussian of float32 `[B, r, r, Z]`, ConvLSTMState).
    """

    def __init__(self, filters, lower_filters=(), kernel_size=3, groups=16, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.lower_filters = tuple(lower_filters)
        self.kernel_size = kernel_size
        self.groups = groups
        options = dict(groups=groups, dtype=self.dtype_policy)
        self.enter = ConvNorm(filters, 1, **options)
        self.cell = ConvLSTMCell(filters, kernel_size, **options)
        self.head = ConvNorm(
            2 * filters,
            1,
            scale_initializer="zeros",
            offset_initializer=keras.initializers.RandomNormal(stddev=1e-3),
            **options,
        )

    def build(self, maps_shape, state_shape=None, lower_shape=None):
        inner_shape = (*maps_shape[:-1], self.filters)
        self.enter.build(maps_shape)
        self.cell.build(inner_shape)
        self.head.build((*maps_shape[:-1], self.filters + sum(self.lower_filters)))

    def call(self, maps, state, lower=()):
        hidden, state = self.cell(self.enter(maps), state)
        return self.distribution(hidden, lower), state

    def hidden_sequence(self, maps, state):
        """The recurrence over all steps: maps `[B, T, r, r, C]` to hidden `[B, T, r, r, Z]`."""
        entered = self.enter(tensor_ops.fold_time(maps))
        return self.cell.sequence(tensor_ops.unfold_time(entered, maps.shape[1]), state)

    def distribution(self, hidden, lower=()):
        """The level's Gaussian, given its hidden map and the lower levels' samples `[N, ...]`."""
        resolution = hidden.shape[1]
        lower = [ops.cast(tensor_ops.upsample_nearest(z, resolution), hidden.dtype) for z in lower]
        return DiagonalGaussian.from_raw(self.head(ops.concatenate([hidden, *lower], axis=-1)))

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "lower_filters": self.lower_filters,
            "kernel_size": self.kernel_size,
            "groups": self.groups,
        }
