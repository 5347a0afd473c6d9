"""Simulators of episodes, one module each, with `episode(size, key)`.

Nothing here imports TensorFlow. Mesa's drawing crashes in one process with TensorFlow, because both
bring an LLVM.
"""

FRAMES = 30  # per episode


class SimulatorError(Exception):
    """A simulator is not installed, or cannot draw here."""
