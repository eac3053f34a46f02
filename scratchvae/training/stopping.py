"""Stopping well: at Ctrl-C between two steps, and at a number that is not finite by its name."""

import signal
import threading
from contextlib import contextmanager

import numpy as np

HEAVY = 1e4  # a weight in the loss from which on it is a likelier cause than the learning rate


def first_not_finite(model, kept):
    """The name of the first tensor that holds a NaN or an infinity, in the order of computation: parameters, then what
    each shard's modules asked memory for.   kept: [(replica, its Kept)]"""
    if name := first_parameter_not_finite(model):
        return name
    for replica, arena in kept:
        paths = {id(module): path for path, module in replica.modules()}
        for module, name, array in arena.arrays:
            if array.dtype.kind == "f" and not model.backend.xp.isfinite(array).all():
                return f"{name} of {paths[id(module)] or replica.kind}"
    return "the loss"


def first_parameter_not_finite(model):
    """The same among the parameters, or None."""
    buffer, values = model.buffer, model.backend.get(model.buffer.values)
    if np.isfinite(values).all():
        return None
    return next(f"parameter {name}" for name in buffer.names if not np.isfinite(buffer.view(name, values)).all())


def advice(trainer):
    """What usually helps where a number was not finite, by what can be known."""
    settings, weights = trainer.settings, trainer.model.weights
    heavy = max(weights, key=weights.get)
    if weights[heavy] > HEAVY:
        return f"The {heavy} counts {weights[heavy]:g} times in the loss: a smaller beta usually helps"
    if trainer.step == 0:
        return "No update has been made: the cause is in the model's first values, in its sigma, or in the images"
    return f"A smaller lr than {settings.lr:g}{' or a clip' if settings.clip is None else ''} usually helps"


@contextmanager
def interrupts():
    """Collects Ctrl-C, and SIGTERM, which schedulers send, into a list, so that a step is never cut in two; a second
    Ctrl-C stops at once."""
    seen = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield seen
        return

    def handle(number, frame):
        if seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        seen.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
