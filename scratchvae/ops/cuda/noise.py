"""Noise written to memory, where a model reads it. Pixels are binarised with noise that nobody else reads, inside gather_batch."""

import numpy as np

from .check import check, integers
from .launch import C_NAMES, int32, number, per_element


def normal(out, seed, stream, step, first_row=0):
    """ε ~ N(0, 1) (E3).   out (R, C) = rng.normal(seed, stream, step, first_row + arange(R), C), to rounding

    step is a number, or a (1,) uint32 array on the device.
    """
    dtype = check("normal", out=(out, out.shape))
    return _draw(f"normal<{C_NAMES[dtype]}>", out, seed, stream, step, first_row)


def uniform(out, seed, stream, step, first_row=0):
    """u in [0, 1) (E2).   out (R, C) = rng.uniform(seed, stream, step, first_row + arange(R), C), bit for bit. step as for normal"""
    dtype = check("uniform", out=(out, out.shape))
    return _draw(f"uniforms<{C_NAMES[dtype]}>", out, seed, stream, step, first_row)


def words(out, seed, stream, step, first_row=0):
    """The raw 32-bit words (E1).   out (R, C) uint32 = rng.words(seed, stream, step, first_row + arange(R), C), bit for bit"""
    integers("words", np.dtype(np.uint32), out=(out, out.shape))
    return _draw("words", out, seed, stream, step, first_row)


def _draw(expression, out, seed, stream, step, first_row):
    (rows, columns), uint32 = out.shape, np.uint32
    noise = uint32(first_row), np.uint64(seed), uint32(stream), *number(step, np.dtype(uint32))
    per_element("noise.cu", expression, rows * -(-columns // 4), (out, uint32(int32(rows)), uint32(int32(columns)), *noise))
    return out
