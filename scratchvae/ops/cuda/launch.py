"""From a name to a running kernel: the source of a .cu file, compiled on first use, launched on arrays.

    kernel("optimisers.cu", "update<float, Adam, 4>")(grid, block, (p, g, m, v, …))

A kernel of your own is launched alike: `file` is then its text, or the Path of its file. Nothing is compiled, and CuPy is not imported,
before the first launch.
"""

import re
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from ...errors import BackendError, KernelError, ShapeError

KERNELS = Path(__file__).parent / "kernels"
C_NAMES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
# Of the compiler. Never --use_fast_math: it would round otherwise than NumPy does. CuPy adds -ftz=true to all it compiles: in
# float32, numbers below 1.2e-38 are 0.
OPTIONS = ("-std=c++17",)
THREADS = 256  # per block, for kernels that do something to each element
TENSOR_CORES = ("affine_tf32.cu", "convolution_tf32.cu", "ladder_tf32.cu")  # the files that need them
MAX_GRID = (2**31 - 1, 65535, 65535)  # blocks, on every GPU
MAX_INDEX = 2**31 - 1 - 1024  # of a row or a column: a kernel may look up to 1024 further before it compares, in 32 bits
_STATIC_SHARED = 48 * 1024  # bytes of shared memory a block may have without asking
_NULL = np.uint64(0)  # as wide as a pointer
_INCLUDE = re.compile(r'^#include "([^"]+)".*$', re.MULTILINE)


class CuPy:
    """Where kernels run: on CuPy arrays, compiled by NVRTC. Raises BackendError where CuPy is not installed."""

    def __init__(self):
        try:
            import cupy
        except ImportError:
            raise BackendError("CUDA needs CuPy: pip install scratchvae[cuda13] (or [cuda12])") from None
        self._cupy, self.array = cupy, cupy.ndarray

    def build(self, file, expression):
        """The kernel of that C++ name in that `source`. Raises BackendError for one that this GPU cannot run."""
        if file in TENSOR_CORES and (why := no_tf32(self._cupy)):
            raise BackendError(why)
        module = self._cupy.RawModule(code=source(file), options=OPTIONS, name_expressions=(expression,))
        return _Kernel(module.get_function(expression))

    def address(self, array):
        return array.data.ptr


class _Kernel:
    """A RawKernel that takes None for a null pointer, of which some versions of CuPy make 0xffffffff (its issue 9046), and no
    number of Python's: CuPy would pass 8 bytes of it, whatever the kernel takes."""

    def __init__(self, raw):
        self.raw = raw

    def __call__(self, grid, block, arguments, shared_mem=0):
        self.raw(grid, block, tuple(map(_argument, arguments)), shared_mem=shared_mem)

    def allow_shared(self, size):
        """Let a block have so many bytes of shared memory, more than it gets without asking."""
        self.raw.max_dynamic_shared_size_bytes = size


def _argument(value):
    if value is None:
        return _NULL
    if type(value) in (bool, int, float):
        raise ShapeError(f"a kernel takes numbers of NumPy's, whose size is known, not {value!r}")
    return value


def no_tf32(cupy):
    """Why the current GPU has no tensor cores for TF32, in one line, or ""."""
    capability = cupy.cuda.Device().compute_capability  # "75" is 7.5
    if int(capability) >= 80:
        return ""
    return (f"tf32 needs a GPU of compute capability 8.0 (Ampere) or higher, and this one has "
            f"{capability[:-1]}.{capability[-1]}: go without it, in FP32")  # fmt: skip


_place = None  # the CuPy above, from the first launch on; or another place of the same four names
_built = {}


def place():
    """Where kernels are built and run now."""
    global _place
    if _place is None:
        _place = CuPy()
    return _place


@contextmanager
def run_on(other):
    """Inside this block kernels are built by other.build and run on arrays of type other.array, as in tests without a GPU."""
    global _place
    before, _place = _place, other
    try:
        yield
    finally:
        _place = before


@cache
def source(file):
    """The text of a .cu file with its #includes put in: CuPy's cache of compiled kernels looks at nothing else.

    file: the name of one of ours, the Path of one of yours, or the text of a kernel. What it includes stands beside it, or is ours.
    Raises KernelError for a file that cannot be read.
    """
    seen = set()
    given = isinstance(file, str) and "__global__" in file
    folder = file.parent if isinstance(file, Path) else KERNELS

    def read(name):
        path = folder / name if (folder / name).is_file() else KERNELS / name
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise KernelError(f"the kernels of {name} cannot be read: {error}") from error

    def expand(name, text=None):
        if name in seen:
            return ""
        seen.add(name)
        text = (read(name) if text is None else text).replace("#pragma once", "")
        return f'#line 1 "{name}"\n' + _INCLUDE.sub(lambda match: expand(match[1]), text)

    return expand("kernel.cu", file) if given else expand(file.name if isinstance(file, Path) else file)


def kernel(file, expression, shared_bytes=0):
    """The compiled kernel: a function of (grid, block, arguments, shared_mem=…).   file: see `source`"""
    where = place()
    key = where, file, expression
    if key not in _built:
        _built[key] = where.build(file, expression)
        if shared_bytes > _STATIC_SHARED and isinstance(_built[key], _Kernel):
            _built[key].allow_shared(shared_bytes)
    return _built[key]


def launch(file, expression, grid, block, arguments, shared_bytes=0):
    """Run it, unless there is nothing to do. Arguments are arrays, None for a null pointer, and NumPy scalars.   file: see `source`

    Raises ShapeError for more blocks than a GPU takes: CuPy would launch as many as the lower 32 bits say.
    """
    if 0 in grid:
        return
    if any(blocks > most for blocks, most in zip(grid, MAX_GRID, strict=False)):
        asked = " x ".join(f"{blocks:,}" for blocks in grid)
        raise ShapeError(f"{expression}: {asked} blocks, of which a GPU takes {MAX_GRID[0]:,} x {MAX_GRID[1]:,}")
    kernel(file, expression, shared_bytes)(grid, block, arguments, shared_mem=shared_bytes)


def per_element(file, expression, threads, arguments):
    """Launch at least so many threads in one row of blocks."""
    launch(file, expression, (-(-threads // THREADS),), (THREADS,), arguments)


def int32(size):
    """A number of rows, columns or elements between rows as kernels take it. Raises ShapeError for one that they cannot count to."""
    if not 0 <= size <= MAX_INDEX:
        raise ShapeError(f"CUDA kernels count rows and columns up to {MAX_INDEX:,}, not {size:,}")
    return np.int32(size)


def width(size, *arrays):
    """V: how many neighbours one access takes. 16 bytes' worth where `size` and all addresses allow it, else 1.

    `size` is the length of a contiguous run: of a row, or of everything.
    """
    wide = 16 // arrays[0].dtype.itemsize
    address = place().address
    return wide if size % wide == 0 and all(a is None or address(a) % 16 == 0 for a in arrays) else 1


def number(value, dtype):
    """(address, value) of a number that a kernel reads: an array of one element on the device, or a plain number."""
    if isinstance(value, place().array):
        if value.dtype != dtype or value.size != 1:
            raise ShapeError(f"a number on the device must be one {dtype}, not {value.dtype} of shape {value.shape}")
        return value, dtype.type(0)
    return None, dtype.type(value)
