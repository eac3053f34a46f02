"""The affine map of a dense layer and its derivative."""

import numpy as np


def affine(x, W, b, out):
    """Y = X W + b (E4).   x (B, I) · W (I, O) · b (O,) → out (B, O)"""
    np.matmul(x, W, out=out)
    out += b
    return out


def affine_backward(dY, x, W, dX, dW, db):
    """dX = dY Wᵀ,  dW = Xᵀ dY,  db = Σ_rows dY (E5).   Writes dX (B, I), dW (I, O), db (O,).

    dX may be None where it is not needed, as in a network's first layer.
    """
    np.matmul(x.T, dY, out=dW)
    np.sum(dY, axis=0, out=db)
    return None if dX is None else np.matmul(dY, W.T, out=dX)
