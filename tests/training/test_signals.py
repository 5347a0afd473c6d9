"""Signals are noted. tests/training/test_loop.py shows that a run saves then."""

import os
import signal
import threading

from tfvrnn.training.signals import stop_signals


def test_a_signal_counts_though_nobody_reads_the_message():
    reader, writer = os.pipe()
    os.close(reader)
    kept = os.dup(2)
    os.dup2(writer, 2)
    try:
        with stop_signals() as received:
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.dup2(kept, 2)
        for descriptor in (writer, kept):
            os.close(descriptor)
    assert received == [signal.SIGTERM]


def test_another_thread_gets_no_signals():
    found = []

    def collect():
        with stop_signals() as received:
            found.append(received)

    thread = threading.Thread(target=collect)
    thread.start()
    thread.join()
    assert found == [[]]
