"""Dropout: twins of ops.numpy.dropout. The uniform numbers come from noise.uniform, which are NumPy's bit for bit."""

import numpy as np

from .check import check
from .launch import C_NAMES, per_element, width


def dropout(x, u, out, rate):
    """y = x · [u ≥ rate] / (1 − rate) (E73).   x, u of any one shape, u uniform in [0, 1) → out.   0 ≤ rate < 1"""
    dtype = check("dropout", x=(x, x.shape), u=(u, x.shape), out=(out, x.shape))
    V = width(x.size, x, u, out)
    arguments = x, u, out, dtype.type(rate), dtype.type(1 / (1 - rate)), np.int64(x.size)
    per_element("noise.cu", f"dropout<{C_NAMES[dtype]}, {V}>", x.size // V, arguments)
    return out


def dropout_backward(dY, u, out, rate):
    """dX = dY · [u ≥ rate] / (1 − rate), with the u of forward (E73)."""
    return dropout(dY, u, out, rate)
