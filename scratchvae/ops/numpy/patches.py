"""Patches of images: every window that a kernel looks at, laid out side by side, and the way back, which adds them up.

Images are (B, H, W, C). A window has kh × kw pixels. stride = (s, t) says how far the next one begins, pad = (p, q) how many rows and
columns of zeros stand around the image, both vertical first. There are h × w windows: h = ⌊(H + 2p − kh) / s⌋ + 1, and w likewise.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided


def patches(x, out, work=None, stride=(1, 1), pad=(0, 0)):
    """P[b, y, x, i, j, c] = X[b, s y + i − p, t x + j − q, c], 0 outside (E60).   x (B, H, W, C) → out (B, h, w, kh, kw, C)

    work (B, H + 2p, W + 2q, C) holds the padded images; where nothing is padded it is not needed.
    """
    source = x if pad == (0, 0) else placed(x, work, pad)
    np.copyto(out, windows(source, out.shape, stride))
    return out


def patches_backward(dP, dX, work=None, stride=(1, 1), pad=(0, 0)):
    """dX[b, s y + i − p, t x + j − q, c] = Σ dP[b, y, x, i, j, c] (E61): a pixel's gradient is the sum over the windows that hold it.

    dP (B, h, w, kh, kw, C) → dX (B, H, W, C). work as for patches. This is the adjoint: ⟨patches x, P⟩ = ⟨x, patches_backward P⟩.
    """
    (s, t), (p, q), (_, h, w, kh, kw, _), (_, height, width, _) = stride, pad, dP.shape, dX.shape
    total = dX if pad == (0, 0) else work
    total[...] = 0
    for i in range(kh):
        for j in range(kw):
            total[:, i : i + s * h : s, j : j + t * w : t] += dP[:, :, :, i, j]
    if total is not dX:
        np.copyto(dX, total[:, p : p + height, q : q + width])
    return dX


def placed(x, work, before):
    """x among zeros: work[b, r + before[0], c + before[1]] = x[b, r, c] as far as that is within work, and 0 elsewhere."""
    top, left = before
    a, b = max(top, 0), max(top, 0, min(top + x.shape[1], work.shape[1]))
    c, d = max(left, 0), max(left, 0, min(left + x.shape[2], work.shape[2]))
    work[:, :a], work[:, b:], work[:, a:b, :c], work[:, a:b, d:] = 0, 0, 0, 0
    work[:, a:b, c:d] = x[:, a - top : b - top, c - left : d - left]
    return work


def windows(x, shape, stride):
    """Every window of x: a view of `shape` (B, h, w, kh, kw, C) that copies nothing."""
    images, rows, columns, channels = x.strides
    return as_strided(x, shape, (images, stride[0] * rows, stride[1] * columns, rows, columns, channels), writeable=False)
