"""PredNet, a deterministic model: prediction errors go up, predictions come down."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.config import require
from tfvrnn.models.checks import check_frames
from tfvrnn.models.video_predictor import VideoPredictor
from tfvrnn.tensor_ops import Shape, Tensor

LAYER_WEIGHTS = {"L0": 0.0, "Lall": 0.1}  # of the layers above the image


class PredNetState(NamedTuple):
    """The state of every layer, from the image up, and the last two predictions.

    Attributes:
        hidden, cell: map R and cell of each layer's ConvLSTM, `[B, r, r, filters]`.
        error: E, `[B, r, r, 2 * target_filters]`.
        prediction, previous: the last two predictions, float32 `[B, H, W, C]`.
    """

    hidden: tuple[Any, ...]
    cell: tuple[Any, ...]
    error: tuple[Any, ...]
    prediction: Any
    previous: Any


def hard_sigmoid(x: Tensor) -> Tensor:
    """Compute clip(0.2 x + 0.5, 0, 1), as in PredNet's time. Keras 3's slope is 1/6."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="tfvrnn")
class PredNetUnit(keras.layers.Layer):
    """One layer of PredNet.

        gates = Conv3([R, E, up(R above)]);  i, f, o = hard_sigmoid(.), g = tanh(.)
        cell' = f * cell + i * g;  R' = o * tanh(cell')
        Ahat = relu(Conv3(R')), at the image at most 1;  E = [relu(Ahat - A), relu(A - Ahat)]
        A above = maxpool2(relu(Conv3(E)))

    Source: Lotter, Kreiman and Cox, "Deep Predictive Coding Networks for Video Prediction and
    Unsupervised Learning", 2016, eqs. 1 to 4; deviations: the four gates are one convolution, so
    the limits of their initial weights differ (docs/baselines.md).

    Args:
        filters: int, channels of R.
        target_filters: int, channels of A. `PredNet` gives both the same number.
        above: int, channels of R above; 0 in the highest layer.
        filters_above: int, channels of A above; 0 in the highest layer.
    """

    def __init__(
        self, filters: int, target_filters: int, above: int = 0, filters_above: int = 0, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters, self.target_filters = filters, target_filters
        self.above, self.filters_above = above, filters_above
        options: dict[str, Any] = dict(
            kernel_size=3, padding="same", data_format="channels_last", dtype=self.dtype_policy
        )
        self.gates = keras.layers.Conv2D(4 * filters, name="gates", **options)
        self.predict = keras.layers.Conv2D(target_filters, name="predict", **options)
        self.to_above: Any = None  # a convolution, except in the highest layer
        if filters_above:
            self.to_above = keras.layers.Conv2D(filters_above, name="to_above", **options)

    def build(self, hidden_shape: Shape | None = None) -> None:
        errors = 2 * self.target_filters
        self.gates.build((None, None, None, self.filters + errors + self.above))
        self.predict.build((None, None, None, self.filters))
        if self.to_above:
            self.to_above.build((None, None, None, errors))
        self.output_shape = hidden_shape  # for `summary`

    def recur(
        self, hidden: Tensor, cell: Tensor, error: Tensor, above: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (R', cell'). `above` is the new R of the layer above, half the side, or None."""
        parts = [hidden, error]
        if above is not None:
            parts.append(tensor_ops.upsample_nearest(above, hidden.shape[1]))
        i, f, o, g = ops.split(self.gates(ops.concatenate(parts, axis=-1)), 4, axis=-1)
        cell = hard_sigmoid(f) * cell + hard_sigmoid(i) * ops.tanh(g)
        return hard_sigmoid(o) * ops.tanh(cell), cell

    def prediction(self, hidden: Tensor, at_most: float | None = None) -> Tensor:
        """Compute Ahat from R'."""
        predicted = ops.relu(self.predict(hidden))
        return predicted if at_most is None else ops.minimum(predicted, at_most)

    @staticmethod
    def error(target: Tensor, predicted: Tensor) -> Tensor:
        """Compute E from A and Ahat."""
        both = [ops.relu(predicted - target), ops.relu(target - predicted)]
        return ops.concatenate(both, axis=-1)

    def target_above(self, error: Tensor) -> Tensor:
        """Compute A of the layer above from E."""
        return tensor_ops.max_pool(ops.relu(self.to_above(error)), 2)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "target_filters": self.target_filters,
            "above": self.above,
            "filters_above": self.filters_above,
        }


@keras.saving.register_keras_serializable(package="tfvrnn")
class PredNet(VideoPredictor):
    """Predicts each frame from the errors of its predictions of the earlier frames.

    'reconstruction' is PredNet's own loss: the mean error of each layer, weighted by layer and
    time. The first frame has weight 0, each other frame 1 / (T - 1). `extrapolate` is the second
    phase of training: predictions replace the frames after the context. Its loss is half the mean
    absolute error of frames 2 to T, the context included, on the first phase's scale.

    After the context, the model extrapolates. With `feedback` 'previous', the prediction made one
    step earlier replaces the frame of each step. With 'own', the prediction of the same step
    replaces it, so that the error at the image is 0.

    Source: same as `PredNetUnit`, and the authors' code for the second phase and
    `feedback='previous'`. Deviations: see docs/baselines.md.

    Args:
        image_shape: (S, S, C), S divisible by 2**len(stacks), by default 8.
        context_frames: int, n_ctx.
        loss: 'L0' (only the image's error) or 'Lall' (plus a tenth of the other layers').
        extrapolate: bool, whether training is in the second phase.
        feedback: 'previous' or 'own', see above.
        stacks: channels of the layers above the image; three in the paper.
    """

    mean_over_pixels = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        context_frames: int,
        loss: str = "Lall",
        extrapolate: bool = False,
        feedback: str = "previous",
        stacks: Sequence[int] = (48, 96, 192),
        **kwargs,
    ):
        super().__init__(**kwargs)
        require(loss in ("L0", "Lall"), "`loss` must be L0 or Lall.", repr(loss))
        known = feedback in ("previous", "own")
        require(known, "`feedback` must be previous or own.", repr(feedback))
        check_frames(image_shape, context_frames)
        side = 2 ** len(stacks)
        rule = f"`image_shape` must have sides that {side} divides."
        require(image_shape[0] % side == 0, rule, image_shape)
        self.image_shape = (*image_shape,)
        self.context_frames = context_frames
        self.error_weights = loss
        self.extrapolate = extrapolate
        self.feedback = feedback
        self.stacks = tuple(stacks)
        filters = (self.image_shape[-1], *self.stacks)
        above = (*filters[1:], 0)
        self.units = [
            PredNetUnit(
                own,
                own,
                upper,
                upper,
                dtype=self.dtype_policy,
                name=f"unit_{self.image_shape[0] // 2**level}",
            )
            for level, (own, upper) in enumerate(zip(filters, above))
        ]
        self.build()

    def build(self, input_shape: Shape | None = None) -> None:
        for level, unit in enumerate(self.units):
            side = self.image_shape[0] // 2**level
            unit.build((None, side, side, unit.filters))

    def noise_shapes(self, batch: int | Tensor, steps: int) -> list[tuple[int, ...]]:
        return []

    def training_terms(
        self, frames: Tensor, noise: Sequence[Tensor], training: bool = False
    ) -> tuple[dict[str, Tensor], Tensor]:
        steps, first = frames.shape[1], self.context_frames
        state, predictions, errors = self._zero_state(frames[:, 0]), [], []
        for time in range(steps):
            state, predicted = self.render(state, [])
            if self.extrapolate and time >= first:
                state = self.observe(state, self._stand_in(state))
            else:
                state = self.observe(state, frames[:, time])
            predictions.append(predicted)
            errors.append(self._weighted_error(state.error))
        predictions = ops.stack(predictions, axis=1)
        if self.extrapolate:
            targets = ops.cast(frames[:, 1:], "float32")
            loss = ops.mean(ops.abs(predictions[:, 1:] - targets), axis=(1, 2, 3, 4)) / 2.0
        else:
            loss = sum(errors[1:]) / max(1, steps - 1)
        return {"reconstruction": loss}, predictions[:, first:]

    def counted_frames(self, steps: int) -> int:
        return 1

    def reconstruction_term(self, frames: Tensor, predictions: Tensor) -> Tensor:
        """Compute the error at the image as if these predictions were PredNet's own."""
        differences = ops.abs(ops.cast(frames, "float32") - ops.cast(predictions, "float32"))
        # E's mean is over both its halves, and one of them is zero at each pixel.
        return ops.mean(differences, axis=(1, 2, 3, 4)) / 2.0

    def latent_kl(self, frames: Tensor, noise: Sequence[Tensor]) -> dict[int, Tensor]:
        return {}

    def begin(self, context: Tensor, noise: Sequence[Tensor] | None = None) -> PredNetState:
        state = self._zero_state(context[:, 0])
        for time in range(self.context_frames):
            state, _ = self.render(state, [])
            state = self.observe(state, context[:, time])
        return state

    def draw(
        self, state: PredNetState, noise: Any, mean: bool = False
    ) -> tuple[PredNetState, list[Tensor]]:
        return state, []

    def render(self, state: PredNetState, latents: Sequence[Tensor]) -> tuple[PredNetState, Tensor]:
        hidden, cell = list(state.hidden), list(state.cell)
        above = None
        for level in reversed(range(len(self.units))):
            hidden[level], cell[level] = self.units[level].recur(
                hidden[level], cell[level], state.error[level], above
            )
            above = hidden[level]
        predicted = self.units[0].prediction(hidden[0], at_most=1.0)
        predicted = ops.cast(predicted, "float32")
        state = PredNetState(
            tuple(hidden), tuple(cell), state.error, predicted, previous=state.prediction
        )
        return state, predicted

    def step(
        self, state: PredNetState, noise: Sequence[Tensor] | None, mean: bool = False
    ) -> tuple[PredNetState, Tensor]:
        state, frame = self.render(state, [])
        return self.observe(state, self._stand_in(state)), frame

    def _stand_in(self, state):
        """Return the prediction that replaces the current frame after the context."""
        return state.previous if self.feedback == "previous" else state.prediction

    def observe(self, state: PredNetState, frame: Tensor) -> PredNetState:
        target, errors = ops.cast(frame, self.compute_dtype), []
        for level, unit in enumerate(self.units):
            predicted = unit.prediction(state.hidden[level], at_most=None if level else 1.0)
            errors.append(unit.error(target, predicted))
            if unit.to_above:
                target = unit.target_above(errors[-1])
        return state._replace(error=tuple(errors))

    def _zero_state(self, frame):
        """Return zeros for every layer, with the batch size of a frame `[B, H, W, C]`."""
        hidden, error, side = [], [], self.image_shape[0]
        for unit in self.units:
            shape = (ops.shape(frame)[0], side, side)
            hidden.append(ops.zeros((*shape, unit.filters), self.compute_dtype))
            error.append(ops.zeros((*shape, 2 * unit.target_filters), self.compute_dtype))
            side //= 2
        image = ops.zeros((ops.shape(frame)[0], *self.image_shape), "float32")
        return PredNetState(tuple(hidden), tuple(hidden), tuple(error), image, image)

    def _weighted_error(self, errors):
        """Return the weighted sum of the layers' mean errors, float32 `[B]`."""
        means = [ops.mean(ops.cast(error, "float32"), axis=(1, 2, 3)) for error in errors]
        return means[0] + LAYER_WEIGHTS[self.error_weights] * sum(means[1:])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "context_frames": self.context_frames,
            "loss": self.error_weights,
            "extrapolate": self.extrapolate,
            "feedback": self.feedback,
            "stacks": self.stacks,
        }
