"""Sums in a fixed order: the same numbers give the same bits, in every run and on every GPU."""

import numpy as np

from .check import check
from .launch import C_NAMES, THREADS, launch, per_element, width

_FILE = "reductions.cu"
PARTS = 256  # blocks that add up squares: a constant, so that the order of the sum is too


def total(x, out):
    """out = Σ_columns x, added up in float64.   x (K, N), as the K terms of a loss → out (K,) float64.   In NumPy: x.sum(axis=1)"""
    rows, n = x.shape
    dtype = check("total", x=(x, (rows, n)))
    check("total", np.dtype(np.float64), out=(out, (rows,)))
    launch(_FILE, f"total<{C_NAMES[dtype]}>", (rows,), (THREADS,), (x, np.int64(n), out))
    return out


def clip_factor(g, clip, parts, out):
    """min(1, clip / ‖g‖) (E38), in two launches.   g (N,) · parts (PARTS,) float64 scratch → out (1,), factor= of the update"""
    dtype = check("clip_factor", g=(g, (g.size,)), out=(out, (1,)))
    check("clip_factor", np.dtype(np.float64), parts=(parts, (PARTS,)))
    launch(_FILE, f"squares<{C_NAMES[dtype]}>", (PARTS,), (THREADS,), (g, np.int64(g.size), parts))
    launch(_FILE, f"clip_factor<{C_NAMES[dtype]}>", (1,), (THREADS,), (parts, np.int32(PARTS), np.float64(clip), out))
    return out


def add(a, b):
    """a ← a + b, a joint of the tree over shards.   a, b of one shape. In NumPy: a += b"""
    return plus(a, b, a)


def plus(a, b, out):
    """y = a + b, all of any one shape; out may be a or b. Its derivative needs no code: da = db = dY."""
    dtype = check("plus", a=(a, a.shape), b=(b, a.shape), out=(out, a.shape))
    V = width(a.size, a, b, out)
    per_element(_FILE, f"add<{C_NAMES[dtype]}, {V}>", a.size // V, (a, b, out, np.int64(a.size)))
    return out
