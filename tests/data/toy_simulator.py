"""A simulator that needs no package, for processes without TensorFlow."""

from pathlib import Path

import numpy as np

from tfvrnn.simulators import FRAMES, SimulatorError


def episode(power: str, size: int, key: list[int]) -> dict:
    """Draw noise of the key; from episode 20 on, only if the file `power` exists."""
    if key[2] >= 20 and not Path(power).exists():
        raise SimulatorError("no power")
    video = np.random.default_rng(key).integers(0, 256, (FRAMES, size, size, 3), np.uint8)
    return {"video": video, "key": np.array(key)}
