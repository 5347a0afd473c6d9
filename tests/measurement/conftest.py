import pytest
from measure_tools import save_network

from tfvrnn.config import MeasureConfig


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """The folder of a network that stands in for I3D."""
    return save_network(tmp_path_factory.mktemp("network") / "net")


@pytest.fixture
def settings(network):
    """Make choices: those given, the stand-in, and no LPIPS, which 16 pixels are too few for."""

    def make(**choices):
        return MeasureConfig(**{"fvd_network": network, "lpips": "none", **choices})

    return make
