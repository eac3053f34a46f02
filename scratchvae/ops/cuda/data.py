"""Batches from a data set that stays on the device."""

import numpy as np

from ... import rng
from ...errors import ShapeError
from .check import integers
from .launch import C_NAMES, int32, number, per_element, place

_PIXELS = {np.dtype(np.uint8): "unsigned char", np.dtype(np.float32): "float"}
_WORDS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned", 8: "unsigned long long"}


def gather(images, rows, out):
    """out[i] = images[rows[i]], numbers in [0, 1].   images (N, D) uint8 or float32, into floats; or of any dtype, into the same
    · rows (B,) int64 → out (B, D)

    The twin of data.gather, bit for bit. A row that does not exist becomes NaN, of whole numbers −1, where NumPy's raises DataError.
    """
    return gather_batch(images, rows, out)


def gather_batch(images, order, out, batch=0, batch_size=None, seed=None, step=0, stream=rng.PIXELS):
    """out[i] = images[order[batch · batch_size + i]].   images (N, D) · order (M,) int64 → out (B, D), B ≤ batch_size

    batch is a number or a (1,) uint32 array on the device, and so is step; batch_size is B unless given, as a shorter last
    batch must. In NumPy: gather(images, order[batch · batch_size :][:B], out).
    With a seed, pixels are binarised anew in every step: x is 1 where uniform(seed, stream, step, arange(B), D) < x, else 0.
    """
    integers("gather", np.dtype(np.int64), order=(order, (order.size,)))
    for name, array in (("images", images), ("out", out)):
        if not isinstance(array, place().array) or not array.flags.c_contiguous:
            raise ShapeError(f"gather: {name} must be contiguous, on the GPU, not a {type(array).__name__}")
    pixels = images.dtype in _PIXELS and out.dtype in C_NAMES
    if not pixels and out.dtype != images.dtype:
        raise ShapeError(f"gather: {images.dtype} goes into its own dtype, uint8 and float32 into floats too, not into {out.dtype}")
    if images.ndim != 2 or out.shape[1:] != images.shape[1:]:
        raise ShapeError(f"gather: rows {order.shape} of images {images.shape} do not go into {out.shape}")
    N, B = len(images), len(out)
    batch_size = B if batch_size is None else batch_size
    if not isinstance(batch, place().array) and batch * batch_size + B > len(order):
        raise ShapeError(f"gather: batch {batch} of {batch_size} has no {B} rows in an order of {len(order)}")
    uint32 = np.dtype(np.uint32)
    rows = order, *number(batch, uint32), int32(batch_size)
    if not pixels:
        return _copied(images, out, rows)
    D, where = images.shape[1], place().address
    V = 4 if D % 4 == 0 and where(images) % (4 * images.itemsize) == 0 and where(out) % 16 == 0 else 1
    noise = np.uint64(seed or 0), np.uint32(stream), *number(step, uint32)
    expression = f"gather<{C_NAMES[out.dtype]}, {_PIXELS[images.dtype]}, {V}, {str(seed is not None).lower()}>"
    arguments = images, np.int64(N), int32(D), *rows, out, int32(B), *noise
    per_element("gather.cu", expression, B * -(-D // 4), arguments)
    return out


def _copied(array, out, rows):
    """The rows as they are, in the widest words that they are made of."""
    size, where = array.shape[1] * array.itemsize, place().address
    word = next(n for n in (8, 4, 2, 1) if size % n == 0 and where(array) % n == where(out) % n == 0)
    words = [a.view(f"u{array.itemsize}").reshape(-1).view(f"u{word}") for a in (array, out)]
    arguments = words[0], np.int64(len(array)), int32(size // word), *rows, words[1], int32(len(out))
    per_element("gather.cu", f"gather_words<{_WORDS[word]}>", words[1].size, arguments)
    return out
