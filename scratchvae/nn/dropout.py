"""Dropout, whose mask is a function of seed, step, row and column as all noise is."""

from math import prod

import numpy as np

from .. import gate, rng
from .module import Module


class Dropout(Module):
    """While it trains, each number is 0 with probability `rate`, and else divided by 1 − rate (E73; Srivastava et al.,
    2014). In use, y = x.   any shape (B, …)"""

    wants_part = True

    def __init__(self, rate=0.5):
        self.rate = gate.number("rate", rate, least=0, below=1)

    def forward(self, x):
        self.floats(x=x)
        self.x, self.u = x, None
        if not self.training or self.rate == 0:
            return x
        self.u = self._drawn(len(x), prod(x.shape[1:]), x.dtype).reshape(x.shape)
        return self.ops.dropout(x, self.u, self.new("y", x.shape, x.dtype), self.rate)

    def backward(self, dY):
        """dY as y → dX as x"""
        self.floats(dY=dY, like=self.x)
        if self.u is None:
            return dY
        return self.ops.dropout_backward(dY, self.u, self.new("dX", dY.shape, dY.dtype), self.rate)

    def _drawn(self, rows, columns, dtype):
        """Uniform numbers in [0, 1), the same on every backend (E2).   → (rows, columns)"""
        seed, step, start, _, place = self.part
        if self.backend.name == "numpy":
            real = np.float32 if dtype == np.float32 else np.float64
            return rng.uniform(seed, rng.DROPOUT + place, step, start + np.arange(rows), columns, real)
        return self.ops.uniform(self.new("u", (rows, columns), dtype), seed, rng.DROPOUT + place, step, start)
