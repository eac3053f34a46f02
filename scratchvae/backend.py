"""Which array library is in use. Nothing here imports CuPy until it is asked for by name."""

from types import ModuleType
from typing import NamedTuple

import numpy

from .errors import BackendError
from .ops import numpy as numpy_ops


class Backend(NamedTuple):
    """An array library `xp` and the operations `ops` written for it."""

    name: str
    xp: ModuleType
    ops: ModuleType


NUMPY = Backend("numpy", numpy, numpy_ops)


def get(name):
    """The backend of that name. Raises BackendError, in one line, when it cannot be used here."""
    if name == "numpy":
        return NUMPY
    raise BackendError(f"unknown backend {name!r}: this version has 'numpy'")
