import pytest
from tiny_run import SMALL

from tfvrnn import config_flags


@pytest.fixture
def small():
    """Make the configuration of a tiny run, with {dotted name: value} changed."""
    return lambda **changes: config_flags.replace(
        SMALL, {name.replace("__", "."): value for name, value in changes.items()}
    )
