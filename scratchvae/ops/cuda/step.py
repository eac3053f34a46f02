"""What stands between two training steps: the metrics, and the numbers that the next step reads."""

import numpy as np

from ...errors import ShapeError
from .check import check, integers
from .launch import C_NAMES, THREADS, int32, launch

_FILE, MOST_TERMS = "step.cu", 8


def end_of_step(terms, window, counters, rates, rate):
    """Add a step's terms to the window and begin the next step, in one launch.

    terms: at most 8, each (n,) · window (K + 1,) float64: the sum of each term, and the number of steps before the first NaN or
    infinity · counters (3,) uint32: step, update and batch, each one up · rates (batches + 1,): the learning rates of an epoch,
    of which the next one goes to rate (1,).
    """
    K, n = len(terms), len(terms[0])
    if K > MOST_TERMS:
        raise ShapeError(f"end_of_step: a loss has at most {MOST_TERMS} terms on a GPU, not {K}")
    named = {f"term {k}": (term, (n,)) for k, term in enumerate(terms)}
    dtype = check("end_of_step", **named, rates=(rates, rates.shape), rate=(rate, (1,)))
    check("end_of_step", np.dtype(np.float64), window=(window, (K + 1,)))
    integers("end_of_step", np.dtype(np.uint32), counters=(counters, (3,)))
    arguments = *terms, *[None] * (MOST_TERMS - K), int32(K), np.int64(n), window, counters, rates, rate
    launch(_FILE, f"end_of_step<{C_NAMES[dtype]}>", (1,), (THREADS,), arguments)


def sum_all(x, out):
    """out = Σ x, added up in float64.   x of any shape → out (1,).   In NumPy: out[0] = x.sum()"""
    dtype = check("sum_all", x=(x, x.shape), out=(out, (1,)))
    launch(_FILE, f"sum_all<{C_NAMES[dtype]}>", (1,), (THREADS,), (x, np.int64(x.size), out))
    return out
