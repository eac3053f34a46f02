"""A sigmoid that never overflows, and its gradient (equation E9)."""

import numpy as np


def sigmoid(x):
    """The sigmoid of each entry (E9), for any x, with no overflow on the way.   x (B, N) → y (B, N), between 0 and 1"""
    return 0.5 * (1 + np.tanh(0.5 * x))


def sigmoid_backward(dY, y):
    """The gradient that reaches x when dY reaches y = sigmoid(x); y is given, x is not (E9).   dY, y (B, N) → dX (B, N)"""
    return dY * y * (1 - y)
