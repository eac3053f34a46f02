"""Batches from a data set that stays on the device."""

import numpy as np

from ... import rng
from ...errors import ShapeError
from .check import check
from .launch import C_NAMES, int32, number, per_element, place

_PIXELS = {np.dtype(np.uint8): "unsigned char", np.dtype(np.float32): "float"}


def gather(images, rows, out):
    """out[i] = images[rows[i]] as numbers in [0, 1].   images (N, D) uint8 or float32 · rows (B,) int64 → out (B, D)

    The twin of data.gather, bit for bit. A row that does not exist becomes NaN, where NumPy's raises DataError.
    """
    return gather_batch(images, rows, out)


def gather_batch(images, order, out, batch=0, batch_size=None, seed=None, step=0, stream=rng.PIXELS):
    """out[i] = images[order[batch · batch_size + i]].   images (N, D) · order (M,) int64 → out (B, D), B ≤ batch_size

    batch is a number or a (1,) uint32 array on the device, and so is step; batch_size is B unless given, as a shorter last
    batch must. In NumPy: gather(images, order[batch · batch_size :][:B], out).
    With a seed, pixels are binarised anew in every step: x is 1 where uniform(seed, stream, step, arange(B), D) < x, else 0.
    """
    dtype = check("gather", out=(out, out.shape))
    for name, array, kinds in (("images", images, _PIXELS), ("order", order, (np.dtype(np.int64),))):
        if not isinstance(array, place().array):
            raise ShapeError(f"gather: {name} is a {type(array).__name__}: move it to the GPU first")
        if array.dtype not in kinds or not array.flags.c_contiguous:
            raise ShapeError(f"gather: {name} must be contiguous, of {' or '.join(map(str, kinds))}, not {array.dtype}")
    if order.ndim != 1 or images.ndim != 2 or out.shape[1:] != images.shape[1:]:
        raise ShapeError(f"gather: rows {order.shape} of images {images.shape} do not go into {out.shape}")
    (N, D), B = images.shape, len(out)
    batch_size = B if batch_size is None else batch_size
    if not isinstance(batch, place().array) and batch * batch_size + B > len(order):
        raise ShapeError(f"gather: batch {batch} of {batch_size} has no {B} rows in an order of {len(order)}")
    where = place().address
    V = 4 if D % 4 == 0 and where(images) % (4 * images.itemsize) == 0 and where(out) % 16 == 0 else 1
    uint32 = np.dtype(np.uint32)
    source = images, np.int64(N), int32(D), order, *number(batch, uint32), int32(batch_size)
    noise = np.uint64(seed or 0), np.uint32(stream), *number(step, uint32)
    binarise = str(seed is not None).lower()
    expression = f"gather<{C_NAMES[dtype]}, {_PIXELS[images.dtype]}, {V}, {binarise}>"
    per_element("gather.cu", expression, B * -(-D // 4), (*source, out, int32(B), *noise))
    return out
