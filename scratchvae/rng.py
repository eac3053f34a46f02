"""Noise as a function: Philox4x32-10 (Salmon et al., 2011) and Box-Muller (1958).

    noise = f(seed, stream, step, row, column)

There is no generator state. The same five integers give the same number in any batch, thread, process, after any
resume, and on either backend. The 128-bit counter is (column // 4, row, step, stream) and the key is the seed; one
call yields the four 32-bit words of columns 4c ... 4c+3.
"""

import numpy as np

from . import gate
from .errors import ConfigError

# Each use of noise draws from a stream of its own, so that no two uses ever share a number.
INIT, SHUFFLE, LATENT, EVALUATE, SAMPLE, CHECK, PIXELS, SPLIT, SETS, DRAW = range(10)
DROPOUT = 64  # and one more for each further layer that drops

_M0, _M1 = 0xD2511F53, 0xCD9E8D57  # round multipliers
_W0, _W1 = 0x9E3779B9, 0xBB67AE85  # key increments
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def philox(counter, key, rounds=10):
    """Philox4x32 (E1).   counter: 4 arrays of uint32 that broadcast together · key: 2 integers → 4 arrays of uint32"""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = (int(k) & 0xFFFFFFFF for k in key)
    for _ in range(rounds):
        p0, p1 = c0 * np.uint64(_M0), c2 * np.uint64(_M1)  # 32 x 32 → 64 bits
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _32) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return tuple(np.asarray(c, np.uint32) for c in np.broadcast_arrays(c0, c1, c2, c3))


def words(seed, stream, step, rows, columns):
    """The raw 32-bit words.   rows (R,) or scalar, step scalar or (S,) → uint32 (R, columns) or (S, R, columns)

    Raises ConfigError when seed, step or a row is outside its unsigned range (64 bits for the seed, 32 for the rest).
    """
    seed = gate.whole("seed", seed, 0, 2**64 - 1)
    stream, columns = gate.whole("stream", stream, 0, 2**32 - 1), gate.whole("columns", columns, 0)
    step, rows = gate.array(step, "step"), np.atleast_1d(gate.array(rows, "rows"))
    for name, value in (("step", step), ("row", rows)):
        if value.size and value.dtype.kind not in "iu":
            raise ConfigError(f"{name} must be whole numbers, not {gate.shown(value)}")
        if value.size and (value.min() < 0 or value.max() >= 2**32):
            raise ConfigError(f"{name} must be between 0 and 2**32 - 1, not {value.min()} ... {value.max()}")
    groups = np.arange((columns + 3) // 4, dtype=np.uint64)
    counter = (groups, rows.astype(np.uint64)[:, None], step.astype(np.uint64)[..., None, None], stream)
    out = np.stack(philox(counter, (seed, seed >> 32)), axis=-1)  # (..., R, groups, 4)
    return out.reshape(*out.shape[:-2], 4 * len(groups))[..., :columns]


def uniform(seed, stream, step, rows, columns, dtype=np.float32):
    """u = ⌊w / 2⁸⌋ · 2⁻²⁴ in [0, 1) (E2): exact in float32, so both dtypes and backends hold the same numbers.

    rows (R,), step scalar or (S,) → (R, columns) or (S, R, columns)
    """
    if not isinstance(dtype, type) or not issubclass(dtype, (np.float32, np.float64)):
        raise ConfigError(f"dtype must be np.float32 or np.float64, not {gate.shown(dtype)}")
    return (words(seed, stream, step, rows, columns) >> np.uint32(8)).astype(dtype) * dtype(2.0**-24)


def normal(seed, stream, step, rows, columns, dtype=np.float32):
    """ε ~ N(0, 1) by Box-Muller (E3):  √(−2 ln u₁) · (cos 2πu₂, sin 2πu₂).

    rows (R,), step scalar or (S,) → (R, columns) or (S, R, columns). Columns 2k and 2k+1 are the cosine and the sine
    of one pair. u₁ = 1 − uniform lies in (0, 1], so |ε| ≤ √(48 ln 2) = 5.77.
    """
    pairs = (gate.whole("columns", columns, 0) + 1) // 2
    u = uniform(seed, stream, step, rows, 2 * pairs, dtype)
    u1, u2 = dtype(1) - u[..., 0::2], u[..., 1::2]
    radius, angle = np.sqrt(dtype(-2) * np.log(u1)), dtype(2 * np.pi) * u2
    out = np.empty_like(u)
    np.multiply(radius, np.cos(angle), out=out[..., 0::2])
    np.multiply(radius, np.sin(angle), out=out[..., 1::2])
    return out[..., :columns]


def permutation(seed, epoch, n):
    """The order in which an epoch visits n images → int64 (n,): the argsort of n random words (a stable sort)."""
    keys = words(seed, SHUFFLE, gate.whole("epoch", epoch, 0, 2**32 - 1), 0, gate.whole("n", n, 0))[0]
    return np.argsort(keys, kind="stable")
