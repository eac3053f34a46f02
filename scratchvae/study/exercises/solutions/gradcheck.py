"""A gradient check of one's own, by central differences (equation E35).

Shapes: f takes x (B, N) to y (B, M); f_backward takes dY (B, M) and x to dX (B, N).
"""

import numpy as np


def largest_error(f, f_backward, x):
    """How far f_backward is from the derivative of f, relative to the largest slope: 0 if it is right (E35).   x (B, N) → a number

    Which dY to try is for the check to choose.
    """
    dY = np.random.default_rng(0).normal(size=f(x).shape)
    dX = f_backward(dY, x)
    h = 1e-5
    slopes = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[i] += h
        behind[i] -= h
        slopes[i] = np.sum(dY * (f(ahead) - f(behind))) / (2 * h)
    return np.max(np.abs(dX - slopes)) / np.max(np.abs(slopes))
