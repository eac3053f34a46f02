"""Smaller and larger images without weights: pooling and upsampling, each with its adjoint. Images are (B, H, W, C).

Pooling looks at windows of size (kh, kw), the next one a stride (s, t) further: h = ⌊(H − kh) / s⌋ + 1 rows of them, and w columns.
Upsampling makes an image larger by whole factors (f, g).
"""

import numpy as np


def max_pool(x, out, size=(2, 2), stride=(2, 2)):
    """y = the largest number of each window, channel by channel (E67).   x (B, H, W, C) → out (B, h, w, C)"""
    first, *others = _places(x, out.shape, size, stride)
    np.copyto(out, first)
    for place in others:
        np.maximum(out, place, out=out) if out.dtype.kind == "f" else np.copyto(out, place, where=place.real > out.real)
    return out


def max_pool_backward(dY, x, y, dX, work, size=(2, 2), stride=(2, 2)):
    """dY goes to the place that the largest number came from, the first one where several are equal (E67).   Writes dX (B, H, W, C).

    Where windows overlap, a pixel gets the sum of what they send it. work is two scratch arrays as y.
    """
    left, sent = work
    np.copyto(left, dY)
    dX[...] = 0
    for place, dplace in zip(_places(x, y.shape, size, stride), _places(dX, y.shape, size, stride), strict=True):
        np.equal(place.real, y.real, out=sent)
        sent *= left
        dplace += sent
        left -= sent
    return dX


def average_pool(x, out, size=(2, 2), stride=(2, 2)):
    """y = the mean of each window, channel by channel (E68).   x (B, H, W, C) → out (B, h, w, C)"""
    out[...] = 0
    for place in _places(x, out.shape, size, stride):
        out += place
    out *= 1 / (size[0] * size[1])
    return out


def average_pool_backward(dY, dX, work, size=(2, 2), stride=(2, 2)):
    """Each pixel of a window gets dY / (kh kw) (E68).   dY (B, h, w, C) → dX (B, H, W, C). work is scratch as dY."""
    np.multiply(dY, 1 / (size[0] * size[1]), out=work)
    dX[...] = 0
    for dplace in _places(dX, dY.shape, size, stride):
        dplace += work
    return dX


def upsample_nearest(x, out):
    """y[b, f m + i, g n + j] = x[b, m, n] (E69): each pixel becomes f × g.   x (B, H, W, C) → out (B, f H, g W, C)"""
    for place in _places(out, x.shape, *_factors(x, out)):
        np.copyto(place, x)
    return out


def upsample_nearest_backward(dY, dX):
    """dX = the sum of dY over each pixel's block (E69).   dY (B, f H, g W, C) → dX (B, H, W, C)"""
    dX[...] = 0
    for place in _places(dY, dX.shape, *_factors(dX, dY)):
        dX += place
    return dX


def upsample_bilinear(x, out, work):
    """Straight lines between the centres of pixels, first down the columns, then along the rows (E70).

    x (B, H, W, C) → out (B, f H, g W, C). With f rows in place of one, row f m + i lies at m + d, d = (i + ½) / f − ½, and is
    (1 − |d|) x[m] + |d| x[m ± 1]; beyond the first and the last row there is but that row itself. work is two scratch arrays
    (B, f H, W, C).
    """
    _lines(x, work[0], 1)
    return _lines(work[0], out, 2)


def upsample_bilinear_backward(dY, dX, work):
    """The adjoint: each gradient goes back to the two pixels, in the shares they had (E70).   dY (B, f H, g W, C) → dX (B, H, W, C)"""
    _lines_backward(dY, work[0], work[1], 2)
    return _lines_backward(work[0], dX, work[1].reshape(-1)[: dX.size].reshape(dX.shape), 1)


def _places(x, shape, size, stride):
    """For each place (i, j) of a window, what the windows have there: views of x of `shape` (B, h, w, C)."""
    (kh, kw), (s, t), (_, h, w, _) = size, stride, shape
    return [x[:, i : i + s * (h - 1) + 1 : s, j : j + t * (w - 1) + 1 : t] for i in range(kh) for j in range(kw)]


def _factors(small, large):
    """(f, g) twice: as the windows' size and as their stride."""
    factors = large.shape[1] // small.shape[1], large.shape[2] // small.shape[2]
    return factors, factors


def _phases(small, large, axis):
    """For each of the f rows that one becomes: its slices of large, |d|, and which rows have a neighbour, and which."""
    factor = large.shape[axis] // small.shape[axis]
    before = (slice(None),) * axis
    for i in range(factor):
        d = (i + 0.5) / factor - 0.5
        inner, neighbour, edge = slice(1, None), slice(None, -1), slice(0, 1)
        if d > 0:
            inner, neighbour, edge = neighbour, inner, slice(-1, None)
        yield (*before, slice(i, None, factor)), abs(d), (*before, inner), (*before, neighbour), (*before, edge)


def _lines(x, out, axis):
    """Straight lines between the rows (axis 1) or the columns (axis 2) of x → out."""
    for phase, d, inner, neighbour, edge in _phases(x, out, axis):
        y = out[phase]
        np.subtract(x[neighbour], x[inner], out=y[inner])
        y[inner] *= d
        y[inner] += x[inner]
        y[edge] = x[edge]
    return out


def _lines_backward(dY, dX, work, axis):
    """The adjoint of _lines.   work is scratch as dX"""
    dX[...] = 0
    for phase, d, inner, neighbour, _ in _phases(dX, dY, axis):
        dy, share = dY[phase], work[inner]
        dX += dy
        np.multiply(dy[inner], d, out=share)
        dX[inner] -= share
        dX[neighbour] += share
    return dX
