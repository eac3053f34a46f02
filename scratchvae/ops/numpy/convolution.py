"""Convolution: the same affine map on every patch of an image; and its adjoint, the transposed convolution (Dumoulin & Visin, 2016).

Images are (B, H, W, C); kernels (kh, kw, I, O), from I channels of the larger image to O of the smaller. stride and pad as in
patches.py. Patches are kh·kw times as large as an image, so they are made for a few images at a time, as many as `work` has room
for, stay in the cache, and are made again in backward. `work` is a flat array of at least `conv2d_work(…)` numbers.

The way back to the image is not `patches_backward`, whose patches add to one another's pixels, but the same sum asked from the other
side: which outputs has a pixel gone to? blocks.py says which (E64). They are patches of dY, and serve dX and dW both.
"""

from math import prod

import numpy as np

from .affine import affine
from .blocks import Blocks
from .patches import patches

CHUNK = 2**19  # numbers worked on at a time, 2 MB of float32: more leave a core's cache, fewer cost calls


def conv2d_work(image, kernel, stride=(1, 1), pad=(0, 0)):
    """How many numbers of work the four functions below want.   image (B, H, W, I), the larger one; kernel (kh, kw, I, O): shapes"""
    kinds = _patched(image, kernel, stride, pad), Blocks(image, kernel, stride, pad).shapes
    one = max(sum(map(prod, shapes)) for shapes in kinds)
    return max(1, min(image[0], CHUNK // one)) * one


def conv2d(x, W, b, out, work, stride=(1, 1), pad=(0, 0)):
    """Y = patches(X) W + b (E62).   x (B, H, W, I) · W (kh, kw, I, O) · b (O,) → out (B, h, w, O)"""
    matrix = W.reshape(-1, W.shape[3])
    for part, P, padded in _chunks(work, len(x), _patched(x.shape, W.shape, stride, pad)):
        patches(x[part], P, padded, stride, pad)
        affine(P.reshape(-1, len(matrix)), matrix, b, _pixels(out[part]))
    return out


def conv2d_backward(dY, x, W, dX, dW, db, work, stride=(1, 1), pad=(0, 0)):
    """dX = patches_backward(dY Wᵀ),  dW = patches(X)ᵀ dY,  db = Σ_pixels dY (E63, E64).   Writes dX as x, dW as W, db (O,).

    dX may be None where it is not needed, as in a network's first layer: then the patches are those of X, which has few channels.
    """
    if dX is None:
        return _looked_backward(x, dY, W, None, dW, db, dY, work, stride, pad)
    blocks = Blocks(x.shape, W.shape, stride, pad)
    kernel = blocks.mirrored(W)
    dkernel, term = np.zeros_like(kernel), np.empty_like(kernel)
    db[...] = 0
    for part, P, padded, cut, image in _chunks(work, len(x), blocks.shapes):
        P = blocks.patches(dY[part], P, padded)
        dkernel += np.matmul(P.T, blocks.cut(x[part], cut, image), out=term)
        blocks.joined(P, kernel, dX[part], cut, image)
        db += _total(dY[part])
    blocks.whole(dkernel, dW)
    return dX


def conv_transpose2d(x, W, b, out, work, stride=(1, 1), pad=(0, 0)):
    """Y = patches_backward(X Wᵀ) + b (E65): each pixel spreads a patch.   x (B, h, w, O) · W (kh, kw, I, O) · b (I,) → out (B, H, W, I)

    H may be any height of which the kernel makes h: from (h − 1) s + kh − 2p up to s − 1 more.
    """
    blocks = Blocks(out.shape, W.shape, stride, pad)
    kernel = blocks.mirrored(W)
    for part, P, padded, cut, image in _chunks(work, len(x), blocks.shapes):
        blocks.joined(blocks.patches(x[part], P, padded), kernel, out[part], cut, image)
        out[part] += b
    return out


def conv_transpose2d_backward(dY, x, W, dX, dW, db, work, stride=(1, 1), pad=(0, 0)):
    """dX = patches(dY) W,  dW = patches(dY)ᵀ X,  db = Σ_pixels dY (E66).   Writes dX as x, dW as W, db (I,). dX may be None."""
    return _looked_backward(dY, x, W, dX, dW, db, dY, work, stride, pad)


def _looked_backward(image, outputs, W, looked, dW, db, dY, work, stride, pad):
    """dW = patches(image)ᵀ outputs, looked = patches(image) W unless it is None, db = Σ_pixels dY, which is one of the two."""
    matrix, dmatrix = W.reshape(-1, W.shape[3]), dW.reshape(-1, W.shape[3])
    term = np.empty_like(dmatrix)
    dmatrix[...] = 0
    db[...] = 0
    for part, P, padded in _chunks(work, len(image), _patched(image.shape, W.shape, stride, pad)):
        P = patches(image[part], P, padded, stride, pad).reshape(-1, len(matrix))
        dmatrix += np.matmul(P.T, _pixels(outputs[part]), out=term)
        db += _total(dY[part])
        if looked is not None:
            np.matmul(P, matrix, out=_pixels(looked[part]))
    return looked


def _patched(image, kernel, stride, pad):
    """Work for one image: its patches, and the padded image."""
    height, width = image[1] + 2 * pad[0], image[2] + 2 * pad[1]
    h, w = (height - kernel[0]) // stride[0] + 1, (width - kernel[1]) // stride[1] + 1
    return (h, w, *kernel[:3]), (height, width, image[3])


def _chunks(work, batch, shapes):
    """Cut a batch into parts that work has room for: for each its slice, and of every shape an array (n, *shape) in work."""
    sizes = [prod(shape) for shape in shapes]
    most = len(work) // sum(sizes)
    for i in range(0, batch, most):
        n, at, arrays = min(most, batch - i), 0, []
        for shape, size in zip(shapes, sizes, strict=True):
            arrays.append(work[at : at + n * size].reshape(n, *shape))
            at += n * size
        yield slice(i, i + n), *arrays


def _pixels(images):
    """(B, H, W, C) → (B H W, C)"""
    return images.reshape(-1, images.shape[3])


def _total(images):
    """Σ_pixels (B, H, W, C) → (C,), as a product with ones, which is several times as fast as np.sum down short rows"""
    rows = _pixels(images)
    return np.matmul(np.ones(len(rows), rows.dtype), rows)
