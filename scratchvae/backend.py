"""Which array library is in use. Nothing here imports CuPy until it is asked for by name."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy

from .errors import BackendError
from .ops import numpy as numpy_ops


class Backend(NamedTuple):
    """An array library `xp`, the operations `ops` written for it, and empty(shape, dtype) for arrays used every step."""

    name: str
    xp: ModuleType
    ops: ModuleType
    empty: Callable


def aligned_empty(shape, dtype):
    """An uninitialised array that begins on a cache line: element by element, NumPy is twice as fast on such arrays."""
    line = 64
    size = math.prod(shape) * numpy.dtype(dtype).itemsize
    raw = numpy.empty(size + line, numpy.uint8)
    start = -raw.ctypes.data % line
    return raw[start : start + size].view(dtype).reshape(shape)


NUMPY = Backend("numpy", numpy, numpy_ops, aligned_empty)


def get(name):
    """The backend of that name. Raises BackendError, in one line, when it cannot be used here."""
    if name == "numpy":
        return NUMPY
    raise BackendError(f"unknown backend {name!r}: this version has 'numpy'")
