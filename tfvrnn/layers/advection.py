"""Pixel advection: compose a frame from moved pixels of the last frame and from new pixels."""

from typing import Any

import keras
from keras import ops

from tfvrnn import tensor_ops
from tfvrnn.tensor_ops import Shape, Tensor

# The initial log odds that a pixel stays: most of the frame is the last one before training.
STAY = 4.0


@keras.saving.register_keras_serializable(package="tfvrnn")
class PixelAdvection(keras.layers.Layer):
    """Compose a frame from the last frame's pixels, each moved a little, and from new pixels.

        w = softmax([logits_new, logits_moved + STAY at the centre])
        y(p) = w_new(p) sigmoid(pixels(p)) + sum_d w_d(p) last(p + d)

    The sum runs over d in a window of `side` by `side` pixels around p. The last frame is mirrored
    at its border. With a window of 1, a pixel is a mixture of itself and a new pixel.

    Source: Finn, Goodfellow and Levine, "Unsupervised Learning for Physical Interaction through
    Video Prediction", 2016, section 3: dynamic neural advection (DNA), and the mask for pixels
    that are not in the last frame. Deviations: a softmax over both at once, and the initial
    preference for pixels that stay.

    Args:
        side: int, side of the window; odd.
        dtype: float32 by default under every policy, as a weighted sum of pixels needs it.

    Call arguments:
        last: float `[N, H, W, C]` in [0, 1].
        outputs: float `[N, H, W, 1 + side^2 + C]`: logits of new and of moved pixels, and the
            logits of the new pixels' values.

    Returns:
        float32 `[N, H, W, C]` in [0, 1].

    Raises:
        ValueError: `side` is not odd and positive.
    """

    def __init__(self, side: int, dtype: Any = "float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        if side < 1 or side % 2 == 0:
            raise ValueError(f"`side` must be odd and positive. Received: {side}")
        self.side = side

    def outputs(self, image_channels: int) -> int:
        """Count the channels of `outputs` for frames of `image_channels` channels."""
        return 1 + self.side**2 + image_channels

    def build(self, last_shape: Shape, outputs_shape: Shape | None = None) -> None:
        """Build nothing: the layer has no weights."""

    def call(self, last: Tensor, outputs: Tensor) -> Tensor:
        last, outputs = (ops.cast(x, "float32") for x in (last, outputs))
        offsets, pixels = ops.split(outputs, [1 + self.side**2], axis=-1)
        centre = [0.0] * (1 + self.side**2)
        centre[1 + self.side**2 // 2] = STAY
        weights = ops.softmax(offsets + ops.convert_to_tensor(centre, "float32"), axis=-1)
        new, moved = ops.split(weights, [1], axis=-1)
        window = ops.expand_dims(moved, -1) * self._windows(last)
        return new * ops.sigmoid(pixels) + ops.sum(window, axis=3)

    def _windows(self, x):
        """Gather the pixels around each pixel: `[N, H, W, C]` to `[N, H, W, side^2, C]`."""
        margin = self.side // 2
        _, height, width, channels = x.shape
        x = tensor_ops.mirror(tensor_ops.mirror(x, margin, axis=1), margin, axis=2)
        if keras.backend.backend() == "jax":
            # Patches are a convolution, which rounds pixels to 11 bits in TF32 on a GPU. Slices are
            # exact. In one trial on two CPU cores they took 0.4 of the time on JAX, but 1.4 of it
            # on TensorFlow.
            places = [divmod(place, self.side) for place in range(self.side**2)]
            slices = [x[:, down : down + height, right : right + width] for down, right in places]
            return ops.stack(slices, axis=3)
        x = ops.image.extract_patches(
            x, (self.side, self.side), strides=1, data_format="channels_last"
        )
        return ops.reshape(x, (-1, height, width, self.side**2, channels))

    def compute_output_shape(self, last_shape: Shape, outputs_shape: Shape | None = None) -> Shape:
        return tuple(last_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "side": self.side}
