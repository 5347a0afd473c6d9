import pytest
from measure_tools import save_network

from tfvrnn.config import MeasureConfig


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """Return the folder of a network that replaces I3D."""
    return save_network(tmp_path_factory.mktemp("network") / "net")


@pytest.fixture
def settings(network):
    """Make the given choices, with I3D's replacement and no LPIPS: 16 pixels are too few."""

    def make(**choices):
        return MeasureConfig(**{"fvd_network": network, "lpips": "none", **choices})

    return make
