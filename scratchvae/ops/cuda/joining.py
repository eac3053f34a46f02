"""Where paths meet: twins of ops.numpy.joining."""

import numpy as np

from .check import check
from .launch import C_NAMES, int32, per_element, width


def concat(a, b, out):
    """Y = (channels of a, then of b).   a (…, C), b (…, D) → out (…, C + D)"""
    _join("concat", a, b, out, apart="false")
    return out


def concat_backward(dY, da, db):
    """da and db are the channels of dY that they were: what is put side by side is taken apart."""
    _join("concat_backward", da, db, dY, apart="true")
    return da, db


def _join(operation, a, b, both, apart):
    (*before, C), D = a.shape, b.shape[-1]
    dtype = check(operation, a=(a, a.shape), b=(b, (*before, D)), both=(both, (*before, C + D)))
    V = min(width(C, a, both), width(D, b, both))
    numbers = np.int64(both.size // max(1, C + D)), int32(C), int32(D)
    int32(C + D)
    per_element("joining.cu", f"join<{C_NAMES[dtype]}, {V}, {apart}>", both.size // V, (a, b, both, *numbers))
