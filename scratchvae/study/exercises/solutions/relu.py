"""ReLU and its gradient (equation E6), on arrays of any shape."""

import numpy as np


def relu(x):
    """Each entry of x where it is positive, 0 elsewhere (E6).   x (B, N) → y (B, N)"""
    return np.where(x > 0, x, 0)


def relu_backward(dY, x):
    """The gradient that reaches x when dY reaches y = relu(x) (E6); at x = 0 it is 0.   dY, x (B, N) → dX (B, N)"""
    return np.where(x > 0, dY, 0)
