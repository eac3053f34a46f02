"""Patches of images: every window that a kernel looks at, laid out side by side, and the way back, which adds them up.

Images are (B, H, W, C). A window has kh × kw pixels. stride = (s, t) says how far the next one begins, pad = (p, q) how many rows and
columns of zeros stand around the image, both vertical first. There are h × w windows: h = ⌊(H + 2p − kh) / s⌋ + 1, and w likewise.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided


def patches(x, out, work=None, stride=(1, 1), pad=(0, 0)):
    """P[b, y, x, i, j, c] = X[b, s y + i − p, t x + j − q, c], 0 outside.   x (B, H, W, C) → out (B, h, w, kh, kw, C)

    work (B, H + 2p, W + 2q, C) holds the padded images; where nothing is padded it is not needed.
    """
    np.copyto(out, _windows(_padded(x, work, pad), out.shape, stride))
    return out


def patches_backward(dP, dX, work=None, stride=(1, 1), pad=(0, 0)):
    """dX[b, s y + i − p, t x + j − q, c] = Σ dP[b, y, x, i, j, c]: a pixel's blame is the sum over the windows that hold it.

    dP (B, h, w, kh, kw, C) → dX (B, H, W, C). work as for patches. This is the adjoint: ⟨patches x, P⟩ = ⟨x, patches_backward P⟩.
    """
    (s, t), (_, h, w, kh, kw, _) = stride, dP.shape
    total = dX if pad == (0, 0) else work
    total[...] = 0
    for i in range(kh):
        for j in range(kw):
            total[:, i : i + s * h : s, j : j + t * w : t] += dP[:, :, :, i, j]
    if total is not dX:
        np.copyto(dX, _inside(total, pad))
    return dX


def _padded(x, work, pad):
    """x with zeros around it, written into work; x itself where none are asked for."""
    if pad == (0, 0):
        return x
    (p, q), (_, height, width, _) = pad, x.shape
    work[:, :p], work[:, p + height :], work[:, :, :q], work[:, :, q + width :] = 0, 0, 0, 0
    np.copyto(_inside(work, pad), x)
    return work


def _inside(padded, pad):
    """The image within its padding: a view."""
    (p, q), (_, height, width, _) = pad, padded.shape
    return padded[:, p : height - p, q : width - q]


def _windows(x, shape, stride):
    """Every window of x: a view of `shape` (B, h, w, kh, kw, C) that copies nothing."""
    images, rows, columns, channels = x.strides
    steps = (images, stride[0] * rows, stride[1] * columns, rows, columns, channels)
    return as_strided(x, shape, steps, writeable=False)
