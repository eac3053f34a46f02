"""Which array library is in use. Nothing here imports CuPy until it is asked for by name."""

import math
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from types import ModuleType
from typing import NamedTuple

import numpy

from . import gate
from .errors import BackendError
from .ops import numpy as numpy_ops


class Backend(NamedTuple):
    """An array library `xp` and the operations `ops` written for it.

    empty(shape, dtype) makes an array for use in every step. put(array) brings a NumPy array here, and get(array)
    brings one back; both may give the array itself. failures() is a context in which the library's own errors become
    BackendErrors. capture(function) is None, or turns the launches of function() into one replay: `ops.cuda.device`.
    no_tf32 says in one line why products cannot use tensor cores, or is "".
    """

    name: str
    xp: ModuleType
    ops: ModuleType
    empty: Callable
    put: Callable = lambda array: array
    get: Callable = lambda array: array
    failures: Callable = nullcontext
    capture: Callable | None = None
    no_tf32: str = "tf32 belongs to the cupy backend: a CPU has no tensor cores"


def aligned_empty(shape, dtype):
    """An uninitialised array that begins on a cache line: element by element, NumPy is twice as fast on such arrays."""
    line = 64
    size = math.prod(shape) * numpy.dtype(dtype).itemsize
    raw = numpy.empty(size + line, numpy.uint8)
    start = -raw.ctypes.data % line
    return raw[start : start + size].view(dtype).reshape(shape)


@contextmanager
def _no_memory():
    """NumPy's own failure, an array for which there is no memory, becomes a BackendError, as CUDA's do."""
    try:
        yield
    except MemoryError as error:
        told = str(error) or "an array does not fit"
        raise BackendError(
            f"not enough memory ({told}): a smaller model, batch or set needs less, and so does --threads 1"
        ) from error


NUMPY = Backend("numpy", numpy, numpy_ops, aligned_empty, failures=_no_memory)
NAMES = ("numpy", "cupy")
_current = NUMPY


def get(backend=None):
    """The backend of that name ("numpy", "cupy"), or the one in use for None; a Backend is returned as it is.

    Raises BackendError, in one line, when it cannot be used here.
    """
    if backend is None:
        return _current
    if isinstance(backend, Backend):
        return backend
    if not isinstance(backend, str):
        raise BackendError(f"a backend has one of the names {', '.join(NAMES)}, not {gate.shown(backend)}")
    if backend == "numpy":
        return NUMPY
    if backend == "cupy":
        return _cupy()
    raise BackendError(f"unknown backend {gate.shown(backend)}: there are {', '.join(NAMES)}")


def use(backend):
    """From now on models are made on this backend unless they name another. Returns it. Raises BackendError."""
    global _current
    _current = get(backend)
    return _current


@cache
def _cupy():
    from .ops import cuda
    from .ops.cuda import device, launch

    cupy = device.probe()
    return Backend(
        "cupy", cupy, cuda, cupy.empty, partial(cupy.asarray, order="C"), cupy.asnumpy, partial(device.failures, cupy),
        device.capture(cupy), launch.no_tf32(cupy),
    )  # fmt: skip


def kind_of(value):
    """Its library and type, as "numpy.ndarray"."""
    kind = type(value)
    return f"{kind.__module__.split('.')[0].lstrip('_')}.{kind.__name__}"
