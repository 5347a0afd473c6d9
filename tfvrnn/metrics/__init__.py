"""Measures of predicted videos, per frame and of whole sets. They do not depend on models."""

from tfvrnn.metrics.ensemble import (
    Ensemble,
    coverage,
    rank_counts,
    rank_histogram,
    spread_to_error,
    unevenness,
)
from tfvrnn.metrics.frame import SSIM_WINDOWS, psnr, ssim
from tfvrnn.metrics.frechet import (
    LEAST_FOR_INFINITY,
    FeatureStatistics,
    frechet_distance,
    frechet_infinity,
    kernel_distance,
)
from tfvrnn.metrics.fvd import (
    cached_features,
    feature_network,
    frechet_video_distance,
    kernel_video_distance,
)
from tfvrnn.metrics.i3d import I3D, FeatureNetwork
from tfvrnn.metrics.intervals import (
    bootstrap_interval,
    interquartile_mean,
    interval_of_mean,
    stratified_bootstrap,
)
from tfvrnn.metrics.kernel import blockwise_kernel_distance
from tfvrnn.metrics.lpips import LPIPS, TooSmall, check_frame_size, lpips, perceptual_network
from tfvrnn.metrics.packages import WeightsUnavailable
from tfvrnn.metrics.samples import LOWER_IS_BETTER, chosen_samples

__all__ = [
    "I3D",
    "LEAST_FOR_INFINITY",
    "LOWER_IS_BETTER",
    "LPIPS",
    "SSIM_WINDOWS",
    "Ensemble",
    "FeatureNetwork",
    "FeatureStatistics",
    "TooSmall",
    "WeightsUnavailable",
    "blockwise_kernel_distance",
    "bootstrap_interval",
    "cached_features",
    "check_frame_size",
    "chosen_samples",
    "coverage",
    "feature_network",
    "frechet_distance",
    "frechet_infinity",
    "frechet_video_distance",
    "interquartile_mean",
    "interval_of_mean",
    "kernel_distance",
    "kernel_video_distance",
    "lpips",
    "perceptual_network",
    "psnr",
    "rank_counts",
    "rank_histogram",
    "spread_to_error",
    "ssim",
    "stratified_bootstrap",
    "unevenness",
]
