"""Simulators of episodes: a module for each, with `episode(size, key)`.

Nothing of TensorFlow is imported here: in one process with it, Mesa's drawing crashes, as both
bring an LLVM.
"""

FRAMES = 30  # of an episode


class SimulatorError(Exception):
    """A simulator is not installed, or cannot draw here."""
