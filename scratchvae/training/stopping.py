"""Stopping well: at Ctrl-C between two steps, and at a number that is not finite by its name."""

import signal
import threading
from contextlib import contextmanager

import numpy as np

WORK = ("work", "total", "term")  # scratch of operations, which not all of them write to


def first_not_finite(replicas):
    """The name of the first tensor that holds a NaN or an infinity, in the order of computation: parameters, then outputs."""
    buffer = replicas[0].buffer
    for name in buffer.names:
        if not np.isfinite(buffer.view(name)).all():
            return f"parameter {name}"
    for replica in replicas:
        for name, path, array in replica.scratch_arrays():
            if name not in WORK and not np.isfinite(array).all():
                return f"{name} of {path or replica.kind}"
    return "the loss"


@contextmanager
def interrupts():
    """Collects Ctrl-C into a list, so that a step is never cut in two; a second Ctrl-C stops at once."""
    seen = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield seen
        return

    def handle(number, frame):
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
