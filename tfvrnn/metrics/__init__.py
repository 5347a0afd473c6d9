"""Measures of predicted videos: frame by frame, and of whole sets. They know nothing of models."""

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
from tfvrnn.metrics.lpips import LPIPS, TooSmall, check_frame_size, lpips, perceptual_network
from tfvrnn.metrics.packages import WeightsUnavailable

__all__ = [
    "I3D",
    "LEAST_FOR_INFINITY",
    "LPIPS",
    "SSIM_WINDOWS",
    "FeatureNetwork",
    "FeatureStatistics",
    "TooSmall",
    "WeightsUnavailable",
    "cached_features",
    "check_frame_size",
    "feature_network",
    "frechet_distance",
    "frechet_infinity",
    "frechet_video_distance",
    "kernel_distance",
    "kernel_video_distance",
    "lpips",
    "perceptual_network",
    "psnr",
    "ssim",
]
