"""Convolution: the same affine map on every patch of an image; and its adjoint, the transposed convolution (Dumoulin & Visin, 2016).

Images are (B, H, W, C), kernels (kh, kw, I, O) from I channels of the larger image to O of the smaller. stride and pad as in patches.py.
Patches take kh·kw times the memory of an image. So they are made for a few images at a time, as many as fit into `work` and so into
the cache, and made again in backward: none is kept. `work` is a flat array of at least `conv2d_work(…)` numbers.
"""

from math import prod

import numpy as np

from .affine import affine
from .patches import patches, patches_backward

CHUNK = 2**18  # numbers worked on at a time: 1 MB of float32, which a core's cache holds


def conv2d_work(image, kernel, stride=(1, 1), pad=(0, 0)):
    """How many numbers of work the four functions below want.   image (B, H, W, I), the larger one; kernel (kh, kw, I, O): shapes"""
    one = _one(image, kernel, stride, pad)
    return prod(kernel) + kernel[3] + max(1, min(image[0], CHUNK // one)) * one


def conv2d(x, W, b, out, work, stride=(1, 1), pad=(0, 0)):
    """Y = patches(X) W + b.   x (B, H, W, I) · W (kh, kw, I, O) · b (O,) → out (B, h, w, O)"""
    matrix = W.reshape(-1, W.shape[3])
    for part, P, _, padded, _, _ in _chunks(x.shape, out.shape, W.shape, work, stride, pad):
        patches(x[part], P, padded, stride, pad)
        affine(P.reshape(-1, len(matrix)), matrix, b, _rows(out[part]))
    return out


def conv2d_backward(dY, x, W, dX, dW, db, work, stride=(1, 1), pad=(0, 0)):
    """dX = patches_backward(dY Wᵀ),  dW = patches(X)ᵀ dY,  db = Σ_pixels dY.   Writes dX as x, dW as W, db (O,).

    dX may be None when nobody asks for it, as in a network's first layer.
    """
    matrix = W.reshape(-1, W.shape[3])
    dW[...] = 0
    db[...] = 0
    for part, P, dP, padded, product, column in _chunks(x.shape, dY.shape, W.shape, work, stride, pad):
        patches(x[part], P, padded, stride, pad)
        d = _rows(dY[part])
        np.matmul(P.reshape(-1, len(matrix)).T, d, out=product)
        dW += product.reshape(W.shape)
        db += np.sum(d, axis=0, out=column)
        if dX is not None:
            np.matmul(d, matrix.T, out=dP.reshape(-1, len(matrix)))
            patches_backward(dP, dX[part], padded, stride, pad)
    return dX


def conv_transpose2d(x, W, b, out, work, stride=(1, 1), pad=(0, 0)):
    """Y = patches_backward(X Wᵀ) + b: each pixel spreads a patch.   x (B, h, w, O) · W (kh, kw, I, O) · b (I,) → out (B, H, W, I)

    H may be any height of which the kernel makes h: from (h − 1) s + kh − 2p up to s − 1 more.
    """
    matrix = W.reshape(-1, W.shape[3])
    for part, _, dP, padded, _, _ in _chunks(out.shape, x.shape, W.shape, work, stride, pad):
        np.matmul(_rows(x[part]), matrix.T, out=dP.reshape(-1, len(matrix)))
        patches_backward(dP, out[part], padded, stride, pad)
        out[part] += b
    return out


def conv_transpose2d_backward(dY, x, W, dX, dW, db, work, stride=(1, 1), pad=(0, 0)):
    """dX = patches(dY) W,  dW = patches(dY)ᵀ X,  db = Σ_pixels dY.   Writes dX as x, dW as W, db (I,). dX may be None."""
    matrix = W.reshape(-1, W.shape[3])
    dW[...] = 0
    db[...] = 0
    for part, P, _, padded, product, _ in _chunks(dY.shape, x.shape, W.shape, work, stride, pad):
        patches(dY[part], P, padded, stride, pad)
        P = P.reshape(-1, len(matrix))
        np.matmul(P.T, _rows(x[part]), out=product)
        dW += product.reshape(W.shape)
        db += _rows(dY[part]).sum(axis=0)
        if dX is not None:
            np.matmul(P, matrix, out=_rows(dX[part]))
    return dX


def _one(image, kernel, stride, pad):
    """Numbers of work for one image: its patches, their gradient, and the padded image."""
    (_, height, width, channels), (kh, kw, _, _), (s, t), (p, q) = image, kernel, stride, pad
    height, width = height + 2 * p, width + 2 * q
    windows = ((height - kh) // s + 1) * ((width - kw) // t + 1)
    return 2 * windows * kh * kw * channels + height * width * channels


def _chunks(image, outputs, kernel, work, stride, pad):
    """Cut the batch: (slice of images, patches, patches, padded images, product like W (kh kw I, O), column (O,)), arrays in work."""
    (batch, height, width, channels), (_, h, w, _), (kh, kw, _, o) = image, outputs, kernel
    product, column, work = work[: prod(kernel)], work[prod(kernel) : prod(kernel) + o], work[prod(kernel) + o :]
    n = min(batch, len(work) // _one(image, kernel, stride, pad))
    size = n * h * w * kh * kw * channels
    for i in range(0, batch, n):
        m = min(n, batch - i)
        shape = (m, h, w, kh, kw, channels)
        P, dP = (work[a : a + prod(shape)].reshape(shape) for a in (0, size))
        padded = work[2 * size :][: m * (height + 2 * pad[0]) * (width + 2 * pad[1]) * channels]
        padded = padded.reshape(m, height + 2 * pad[0], width + 2 * pad[1], channels)
        yield slice(i, i + m), P, dP, padded, product.reshape(-1, o), column


def _rows(images):
    """(B, H, W, C) → (B H W, C)"""
    return images.reshape(-1, images.shape[-1])
