"""Signals that end a training: note them, so that the step can be saved first."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and Ctrl-C in the yielded list, instead of ending the program.

    A second Ctrl-C raises KeyboardInterrupt. Only the main thread gets signals: in another, the
    list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number, frame):
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C stops at once
        received.append(number)
        # Not through Python's files: the signal may have interrupted them in the middle of a line.
        with contextlib.suppress(OSError):  # nobody reads it any more
            os.write(2, b"\nstopping: saving after the current step\n")

    previous = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
