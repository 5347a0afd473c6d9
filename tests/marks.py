"""Marks of tests."""

import pytest


def thorough(*values):
    """Leave the parameters of one test to the thorough line."""
    return pytest.param(*values, marks=pytest.mark.thorough)
