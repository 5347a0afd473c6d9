"""A run on disk: its folder, configuration, checkpoints and weights.

TensorFlow is imported only to read weights, so that a program can refuse a wrong option or folder
at once.
"""

from tfvrnn.runs.clips import example_clips
from tfvrnn.runs.folder import RunFolder, checkpoint_paths
from tfvrnn.runs.resume import resolve
from tfvrnn.runs.weights import copy_pretrained, keep_weights, load_pretrained, load_run

__all__ = [
    "RunFolder",
    "checkpoint_paths",
    "copy_pretrained",
    "example_clips",
    "keep_weights",
    "load_pretrained",
    "load_run",
    "resolve",
]
