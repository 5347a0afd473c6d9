"""Measures of predicted videos: frame by frame, and of whole sets. They know nothing of models."""

from tfvrnn.metrics.frame import SSIM_DEFINITIONS, psnr, ssim
from tfvrnn.metrics.frechet import (
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
from tfvrnn.metrics.lpips import LPIPS, lpips, perceptual_network
from tfvrnn.metrics.weights import WeightsUnavailable

__all__ = [
    "I3D",
    "LPIPS",
    "SSIM_DEFINITIONS",
    "FeatureNetwork",
    "FeatureStatistics",
    "WeightsUnavailable",
    "cached_features",
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
