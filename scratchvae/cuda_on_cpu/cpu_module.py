"""CpuModule: cupy.RawModule for a machine without a GPU.

    module = CpuModule(Path("affine.cu"), name_expressions=["affine<float, RELU>"])
    kernel = module.get_function("affine<float, RELU>")
    kernel((3, 2), (16, 16), (x, W, b, out, np.int32(batch)), shared_mem=0)

The kernel's own source runs, on NumPy arrays. How a CUDA thread becomes a fiber: README.md.
"""

import ctypes
import os
import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import KernelError
from .build import RUNTIME, build, places
from .memory import ALIGNMENT, on_device, poison
from .sources import flatten, plain_kernels

__all__ = ["SCHEDULES", "CpuModule", "KernelFault", "poison"]

SCHEDULES = ("forward", "reverse", "random")
MAX_THREADS = 1024
MAX_GRID = (2**31 - 1, 65535, 65535)


class KernelFault(KernelError):
    """The harness stopped a kernel: what it did wrong, and where."""


class LaunchError(KernelError, TypeError, ValueError):
    """A kernel that there is not, or arguments, a grid or a block that it does not take: on a GPU the bytes would go in
    as they are."""


class CpuModule:
    """`source`: a Path to a .cu file, or the code itself. `name_expressions`: the template variants to make.

    `sanitizer`: None, "races" (include/races.hpp; slow), "asan" or "tsan"; the last two work only in a process that was
    started for them (sanitize.py), which says so in CUDA_ON_CPU_SANITIZER, the default.
    """

    def __init__(
        self, source, *, name_expressions=(), options=(), include_dirs=(), schedule="forward", seed=0,
        sanitizer="inherit"
    ):
        if sanitizer == "inherit":
            sanitizer = os.environ.get("CUDA_ON_CPU_SANITIZER") or None
        if sanitizer in RUNTIME and RUNTIME[sanitizer] not in os.environ.get("LD_PRELOAD", ""):
            raise RuntimeError(
                f"kernels built for {sanitizer} run only in a process of its own: use run_sanitized (sanitize.py)"
            )
        text = flatten(source, include_dirs)
        self.name = source.name if isinstance(source, Path) else "kernels.cu"
        self.names = [*plain_kernels(text), *name_expressions]
        exports = "\n".join(f"CUDA_ON_CPU_EXPORT({number}, {name})" for number, name in enumerate(self.names))
        # An unnamed namespace keeps names such as `add` or `normal` apart from the C and C++ libraries' own.
        text = f'#include "cuda_on_cpu.hpp"\nnamespace {{\n{text}\n}}\n#line 1 "exports of {self.name}"\n{exports}\n'
        self.built_path = build(text, sanitizer, tuple(options))
        self._library = ctypes.CDLL(str(self.built_path))
        self._library.cuda_on_cpu_max_dynamic_shared.restype = ctypes.c_size_t
        self._exact = _address_sanitizer_allocator() if sanitizer == "asan" else None
        self.set_schedule(schedule, seed)

    def set_schedule(self, schedule, seed=0):
        """Which thread runs first at every turn: "forward", "reverse" or "random" (drawn from `seed`)."""
        self.schedule, self.seed = SCHEDULES.index(schedule), seed

    def set_unordered_blocks(self, unordered):
        """Under ThreadSanitizer blocks count as unordered, which takes new fibers for each block: off for a larger
        grid."""
        self._library.cuda_on_cpu_set_unordered_blocks(int(unordered))

    def get_function(self, name):
        if name not in self.names:
            made = ", ".join(self.names)
            raise LaunchError(
                f"{self.name} has no kernel {name!r} (a template needs its name expression, a plain kernel its name or "
                f'extern "C"); it has {made}'
            )
        return CpuFunction(self, name, self.names.index(name))


class CpuFunction:
    """One kernel: f(grid, block, args, shared_mem=0), as CuPy's."""

    def __init__(self, module, name, number):
        self.module, self.name = module, name
        signature = module._library[f"cuda_on_cpu_signature_{number}"]
        signature.restype = ctypes.c_char_p
        self.parameters = signature().decode().split()
        self._launch = module._library[f"cuda_on_cpu_launch_{number}"]
        self._launch.restype = ctypes.c_char_p
        self._launch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        grid, block = _three(grid), _three(block)
        self._check_launch(grid, block, shared_mem)
        if len(args) != len(self.parameters):
            raise LaunchError(f"{self.name} takes {len(self.parameters)} arguments, got {len(args)}")
        labels = [f"argument {position}" for position in range(len(args))]
        for label, argument, parameter in zip(labels, args, self.parameters, strict=True):
            _check_argument(f"{self.name}: {label}", argument, parameter)
        arrays = [
            (label, argument) for label, argument in zip(labels, args, strict=True) if isinstance(argument, np.ndarray)
        ]
        library = self.module._library
        library.cuda_on_cpu_set_schedule(self.module.schedule, ctypes.c_uint64(self.module.seed))
        with on_device(arrays, self.module._exact) as address, _named(self.name):
            values = [_c_value(argument, address) for argument in args]
            pointers = (ctypes.c_void_p * max(1, len(values)))(*(ctypes.addressof(value) for value in values))
            error = self._launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), shared_mem, pointers)
            if error:
                raise KernelFault(self._with_lines(error.decode()))

    def _with_lines(self, report):
        """A report of races.hpp, whose places are @ and an offset into the library, with the source's lines."""
        offsets = re.findall(r"@([0-9a-f]+)", report)
        for offset, place in zip(offsets, places(self.module.built_path, offsets) if offsets else [], strict=True):
            report = report.replace(f"@{offset}", place)
        return report

    def _check_launch(self, grid, block, shared_mem):
        threads = block[0] * block[1] * block[2]
        if not 1 <= threads <= MAX_THREADS or block[2] > 64:
            raise LaunchError(
                f"{self.name}: a block of {block} has {threads} threads; a GPU takes 1 to {MAX_THREADS}, z at most 64"
            )
        if not all(1 <= size <= limit for size, limit in zip(grid, MAX_GRID, strict=True)):
            raise LaunchError(f"{self.name}: grid {grid} is not within 1 and {MAX_GRID}")
        limit = self.module._library.cuda_on_cpu_max_dynamic_shared()
        if not 0 <= shared_mem <= limit:
            raise LaunchError(f"{self.name}: {shared_mem} bytes of dynamic shared memory; at most {limit}")


@contextmanager
def _named(kernel):
    try:
        yield
    except KernelFault as fault:
        raise KernelFault(f"{kernel}: {fault}") from None


def _three(size):
    size = (size,) if isinstance(size, int | np.integer) else tuple(size)
    return (*(int(n) for n in size), 1, 1, 1)[:3]


def _check_argument(label, argument, parameter):
    """A GPU would take the bytes as they are; here the argument must be what the parameter says."""
    if parameter.startswith("*"):
        if argument is None:
            return
        if not isinstance(argument, np.ndarray):
            raise LaunchError(f"{label}: the kernel takes a pointer, got {type(argument).__name__}")
        if not argument.flags.c_contiguous:
            raise LaunchError(
                f"{label}: array of shape {argument.shape} and strides {argument.strides} is not C-contiguous"
            )
        pointee = parameter[1:]
        code = f"{argument.dtype.kind}{argument.dtype.itemsize}"
        if pointee[0] not in "V*" and code != pointee:
            raise LaunchError(
                f"{label}: the kernel takes a pointer to {pointee}, got an array of {code} ({argument.dtype})"
            )
        return
    if isinstance(argument, bool | int | float) and not isinstance(argument, np.generic):
        argument = np.asarray(argument)[()]  # int64 or float64, as CuPy passes them
    if not isinstance(argument, np.generic):
        raise LaunchError(f"{label}: the kernel takes a number ({parameter}), got {type(argument).__name__}")
    code = f"{argument.dtype.kind}{argument.dtype.itemsize}"
    if code != parameter:
        raise LaunchError(f"{label}: the kernel takes {parameter}, got {code} ({argument.dtype})")


def _c_value(argument, address):
    """What the launch copies into the parameter: a ctypes value of its bytes."""
    if argument is None or isinstance(argument, np.ndarray):
        return ctypes.c_void_p(0 if argument is None else address(argument))
    raw = np.asarray(argument).tobytes()
    return (ctypes.c_char * len(raw)).from_buffer_copy(raw)


def _address_sanitizer_allocator():
    """Allocates with red zones directly before and after the bytes asked for."""
    process = ctypes.CDLL(None)
    process.posix_memalign.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    process.free.argtypes = [ctypes.c_void_p]
    poison_region = process.__asan_poison_memory_region
    poison_region.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

    class Allocation:
        def __init__(self, nbytes, offset):
            pointer = ctypes.c_void_p()
            if process.posix_memalign(ctypes.byref(pointer), ALIGNMENT, nbytes + offset):
                raise MemoryError(f"{nbytes} bytes")
            self.address = pointer.value
            if offset:
                poison_region(self.address, offset)

        def __del__(self):
            process.free(self.address)

    def allocate(nbytes, offset):
        allocation = Allocation(nbytes, offset)
        return allocation.address + offset, allocation

    return allocate
