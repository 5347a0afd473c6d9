"""Test videos of a run or a preset, to draw."""

import dataclasses
from pathlib import Path

import numpy as np

from tfvrnn import presets
from tfvrnn.config import Config, UserError
from tfvrnn.runs.folder import RunFolder


def example_clips(run_dir: str | Path, config: Config, count: int, horizon: int) -> np.ndarray:
    """Read the first test videos: those that came with a preset, else those of the dataset.

    Args:
        run_dir: run folder or preset.
        config: of the run.
        count: number of videos.
        horizon: frames after the given ones.

    Returns:
        uint8 `[count, n_ctx + horizon, H, W, C]`.

    Raises:
        UserError: the preset has too few or too short ones, and the dataset is not there. Or its
            clips do not fit its model.
    """
    length = config.model.context_frames + horizon
    clips = presets.read_clips(RunFolder(run_dir).path)
    if len(clips) and clips.shape[2:] != config.model.image_shape:
        raise UserError(
            f"the clips of {run_dir} must have frames of {config.model.image_shape}. Received: "
            f"{clips.shape[2:]}"
        )
    if len(clips) >= count and clips.shape[1] >= length:
        return clips[:count, :length]

    from tfvrnn.data import first_videos  # TensorFlow takes seconds to import

    data = dataclasses.replace(config.data, horizon=horizon)
    try:
        return first_videos(data, config.model, "test", count)
    except UserError as error:
        if not len(clips):
            raise
        longest = clips.shape[1] - config.model.context_frames
        raise UserError(
            f"the clips of the preset allow {len(clips)} contexts and a horizon of {longest}, not "
            f"{count} and {horizon}; beyond that, {error}"
        ) from None
