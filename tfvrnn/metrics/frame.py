"""PSNR and SSIM of single frames."""

import numpy as np
import tensorflow as tf

# Sides of the windows of SSIM, by definition.
SSIM_WINDOWS = {"gaussian": 11, "uniform": 7}
ROUNDING = 1e-4
# Reported for frames equal to the truth, whose PSNR is infinite. An error of one grey level in one
# pixel of 64x64x3 gives 89. Higher values, which larger frames can have, are cut to this one.
PSNR_OF_EQUAL_FRAMES = 100.0


def psnr(frames: tf.Tensor | np.ndarray, truth: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Compute the peak signal-to-noise ratio of each frame, in decibels.

    Source: `tf.image.psnr`; deviations: none.

    Args:
        frames: float `[..., H, W, C]`, pixels in [0, 1].
        truth: of the same shape.

    Returns:
        float32 `[...]`, infinite if a frame equals the truth.

    Raises:
        ValueError: shapes that differ, pixels that are not float or, outside of a graph, not in
            [0, 1].
    """
    frames, truth = _checked(frames, truth)
    return tf.image.psnr(frames, truth, max_val=1.0)


def ssim(
    frames: tf.Tensor | np.ndarray, truth: tf.Tensor | np.ndarray, definition: str = "gaussian"
) -> tf.Tensor:
    """Compute the structural similarity of each frame.

    'gaussian' is `tf.image.ssim`: an 11x11 Gaussian window of standard deviation 1.5, mean over
    windows and channels, as Wang et al. define it. 'uniform' is skimage's default, which SVG and
    its successors report: a uniform 7x7 window, unbiased variances, only windows within the image,
    and the mean of the channels' values.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment", 2004;
    skimage.metrics.structural_similarity; deviations: none, with data_range 1 (early versions of
    skimage took 2 for float images).

    Args:
        frames: float `[..., H, W, C]`, pixels in [0, 1].
        truth: of the same shape.
        definition: 'gaussian' or 'uniform'.

    Returns:
        float32 `[...]`, at most 1.

    Raises:
        ValueError: shapes that differ, pixels that are not float or, outside of a graph, not in
            [0, 1], images smaller than the window (11 or 7), another definition.
    """
    if definition not in SSIM_WINDOWS:
        names = ", ".join(SSIM_WINDOWS)
        raise ValueError(f"`definition` must be one of {names}. Received: {definition!r}")
    frames, truth = _checked(frames, truth)
    window = SSIM_WINDOWS[definition]
    if any(side is not None and side < window for side in frames.shape[-3:-1]):
        raise ValueError(
            f"`frames` must be at least {window} pixels wide and high for the {definition} SSIM. "
            f"Received: shape {frames.shape}"
        )
    if definition == "gaussian":
        return tf.image.ssim(frames, truth, max_val=1.0)
    return _uniform_ssim(frames, truth)


def _uniform_ssim(x, y):
    shape, window = tf.shape(x), SSIM_WINDOWS["uniform"]
    images = tf.concat([[-1], shape[-3:]], axis=0)
    x, y = (
        tf.ensure_shape(tf.reshape(tf.cast(v, tf.float64), images), (None, *v.shape[-3:]))
        for v in (x, y)
    )

    def local_mean(image):
        return tf.nn.avg_pool2d(image, window, 1, "VALID")

    mean_x, mean_y = local_mean(x), local_mean(y)
    pixels = window**2
    unbiased = pixels / (pixels - 1)
    variances = unbiased * (local_mean(x * x + y * y) - mean_x**2 - mean_y**2)
    covariance = unbiased * (local_mean(x * y) - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    return tf.cast(tf.reshape(tf.reduce_mean(similarity, (1, 2, 3)), shape[:-3]), tf.float32)


def _checked(frames, truth):
    frames, truth = tf.convert_to_tensor(frames), tf.convert_to_tensor(truth)
    if not are_alike(frames, truth):
        raise ValueError(
            f"`frames` and `truth` must be of one shape [..., H, W, C]. "
            f"Received: {frames.shape} and {truth.shape}"
        )
    if not (frames.dtype.is_floating and truth.dtype.is_floating):
        raise ValueError(
            f"`frames` and `truth` must be float in [0, 1]. "
            f"Received: {frames.dtype.name} and {truth.dtype.name}"
        )
    for pixels in (frames, truth):
        check_range(pixels)
    frames, truth = compared_later(frames, truth)
    return tf.cast(frames, tf.float32), tf.cast(truth, tf.float32)


def are_alike(frames: tf.Tensor, truth: tf.Tensor) -> bool:
    """Check that both are `[..., H, W, C]` of one shape, as far as a graph knows it."""
    ranks = frames.shape.rank, truth.shape.rank
    return None not in ranks and min(ranks) >= 3 and frames.shape.is_compatible_with(truth.shape)


def compared_later(frames: tf.Tensor, truth: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return both. What a graph does not know of their shapes is compared when it runs."""
    if frames.shape.is_fully_defined() and truth.shape.is_fully_defined():
        return frames, truth
    shapes = tf.shape(frames), tf.shape(truth)
    with tf.control_dependencies([tf.debugging.assert_equal(*shapes, "the shapes differ")]):
        return tf.identity(frames), tf.identity(truth)


def check_range(pixels: tf.Tensor) -> None:
    """Raise ValueError if pixels lie outside [0, 1]. In a graph, values are not known."""
    if tf.executing_eagerly() and tf.size(pixels):
        low, high = float(tf.reduce_min(pixels)), float(tf.reduce_max(pixels))
        if not -ROUNDING <= low <= high <= 1 + ROUNDING:
            raise ValueError(f"pixels must lie in [0, 1]. Received: {low:g} to {high:g}")
