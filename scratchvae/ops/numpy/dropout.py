"""Dropout (Srivastava et al., 2014): while training, numbers are left out by chance, and the others made larger in turn."""

import numpy as np


def dropout(x, u, out, rate):
    """y = x · [u ≥ rate] / (1 − rate) (E73): E y = x.   x, u of any one shape, u uniform in [0, 1) → out.   0 ≤ rate < 1"""
    np.greater_equal(u, rate, out=out)
    out *= 1 / (1 - rate)
    out *= x
    return out


def dropout_backward(dY, u, out, rate):
    """dX = dY · [u ≥ rate] / (1 − rate), with the u of forward (E73)."""
    return dropout(dY, u, out, rate)
