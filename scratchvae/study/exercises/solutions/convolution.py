"""A convolution and its gradients (equations E62 and E63), without padding.

Shapes: B images of H rows, W columns and I channels; a kernel of k rows and l columns from I channels to O; the output has
h = (H - k) // stride + 1 rows and w = (W - l) // stride + 1 columns. The window at the output's row r and column c begins at
row r * stride and column c * stride of the image.
"""

import numpy as np


def conv(x, K, b, stride):
    """At each place, the weighted sums of what the window sees (E62).   x (B, H, W, I), K (k, l, I, O), b (O,) → Y (B, h, w, O)"""
    h, w = (x.shape[1] - K.shape[0]) // stride + 1, (x.shape[2] - K.shape[1]) // stride + 1
    Y = b
    for i in range(K.shape[0]):
        for j in range(K.shape[1]):
            Y = Y + x[:, i : i + stride * (h - 1) + 1 : stride, j : j + stride * (w - 1) + 1 : stride] @ K[i, j]
    return Y


def conv_backward(dY, x, K, stride):
    """The gradients that reach x, K and b when dY reaches Y (E63).   dY (B, h, w, O) → dX as x, dK as K, db (O,)"""
    _, h, w, _ = dY.shape
    dX, dK = np.zeros_like(x), np.zeros_like(K)
    for i in range(K.shape[0]):
        for j in range(K.shape[1]):
            seen = (slice(None), slice(i, i + stride * (h - 1) + 1, stride), slice(j, j + stride * (w - 1) + 1, stride))
            dX[seen] += dY @ K[i, j].T
            dK[i, j] = np.tensordot(x[seen], dY, axes=([0, 1, 2], [0, 1, 2]))
    return dX, dK, np.sum(dY, axis=(0, 1, 2))
