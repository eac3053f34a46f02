"""A row of a table for each whole number: the product of a one-hot row with a matrix."""

from .. import gate
from ..errors import DataError, ShapeError
from . import init
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """y[n] = W[rows[n]] (E74).   rows (B, …), whole numbers from 0 to count − 1 → y (B, …, width)"""

    input_gradient = False  # a whole number has none

    def __init__(self, count, width, init_W=None):
        """init_W: N(0, 1) unless given."""
        self.count, self.width = gate.whole("count", count), gate.whole("width", width)
        self.W = Parameter((self.count, self.width), init_W or _normal)

    def forward(self, rows):
        """Raises ShapeError for what are no whole numbers, DataError for one that has no row."""
        if not isinstance(rows, self.backend.xp.ndarray) or rows.dtype.kind not in "iu" or rows.ndim == 0:
            raise ShapeError(f"Embedding takes whole numbers (rows, …), not {gate.shown(rows)}")
        if self.may_look and rows.size and (int(rows.min()) < 0 or int(rows.max()) >= self.count):
            raise DataError(
                f"Embedding has rows 0 to {self.count - 1}, and was asked for {int(rows.min())} to {int(rows.max())}"
            )
        self.rows = rows
        return self.ops.embedding(rows, self.W.value, self.new("y", (*rows.shape, self.width), self.W.value.dtype))

    def backward(self, dY):
        """Writes W.grad: a row that no number asked for has a gradient of 0."""
        self.floats(dY=dY)
        if dY.shape != (*self.rows.shape, self.width):
            raise ShapeError(f"Embedding takes dY as {(*self.rows.shape, self.width)}, not {dY.shape}")
        self.ops.embedding_backward(dY, self.rows, self.W.grad)


def _normal(shape, seed, index):
    return init.lecun(shape, seed, index, fans=(1, 1))
