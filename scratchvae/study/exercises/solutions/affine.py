"""A dense layer: forward and backward (equations E4 and E5).

Shapes: B rows in the batch, I inputs, O outputs. For a loss, dY is short for its derivative with respect to Y: every
gradient has the shape of what it is the gradient of.
"""

import numpy as np


def affine(x, W, b):
    """Y = X W + b (E4).   x (B, I), W (I, O), b (O,) → Y (B, O)"""
    return x @ W + b


def affine_backward(dY, x, W):
    """The gradients that reach x, W and b when dY reaches Y (E5).   dY (B, O), x (B, I), W (I, O) → dX (B, I), dW (I, O), db (O,)"""
    dX = dY @ W.T
    dW = x.T @ dY
    db = np.sum(dY, axis=0)
    return dX, dW, db
