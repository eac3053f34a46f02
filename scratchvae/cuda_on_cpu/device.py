"""The cupy backend without CuPy and without a GPU: its own code, its kernels and yours, on arrays that behave as CuPy's
do where it counts.

    with cupy_on_cpu() as (backend, device):
        model.to(backend).forward(…)
        device.launches     # the kernels that ran

`DeviceArray` is a NumPy array that refuses to meet one of the host's. `capture` keeps launches with their scalars, as a
CUDA graph does, runs none of them meanwhile, and refuses all else.
"""

from contextlib import contextmanager
from functools import cache, partial

import numpy as np

from ..backend import Backend
from ..ops import cuda
from ..ops.cuda import launch
from .cpu_module import CpuModule
from .memory import poison


class OnCpu:
    """A place for kernels to run (`ops.cuda.launch.run_on`): built by g++, on NumPy arrays. `launches` lists the
    expressions that ran."""

    array = np.ndarray

    def __init__(self, schedule="forward", seed=0):
        """Who runs first, of the threads of a block: see `CpuModule.set_schedule`."""
        self.schedule, self.seed, self.launches = schedule, seed, []

    def module(self, file, expression):
        """The CpuModule that holds this kernel."""
        return _module(file, expression)

    def build(self, file, expression):
        module = self.module(file, expression)
        function = module.get_function(expression)

        def run(grid, block, arguments, shared_mem=0):
            self.launches.append(expression)
            module.set_schedule(self.schedule, self.seed)
            function(grid, block, tuple(map(_memory, arguments)), shared_mem=shared_mem)

        return run

    def address(self, array):
        return array.ctypes.data


@cache
def _module(file, expression):
    return CpuModule(launch.source(file), name_expressions=(expression,))


def _memory(argument):
    """An array with gaps between its rows as the contiguous stretch of memory that it spans, as a kernel would see
    it."""
    if not isinstance(argument, np.ndarray) or argument.flags.c_contiguous or not argument.size:
        return argument
    span = (
        sum((n - 1) * stride for n, stride in zip(argument.shape, argument.strides, strict=True)) // argument.itemsize
        + 1
    )
    return np.lib.stride_tricks.as_strided(argument, (span,), (argument.itemsize,))


class DeviceArray(np.ndarray):
    """Memory of a pretended GPU. CuPy raises the same TypeErrors."""

    capturing = False

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        for operand in (*inputs, *out):
            _refuse_host(operand)
        plain = [np.asarray(operand) if isinstance(operand, np.ndarray) else operand for operand in inputs]
        if out:
            options["out"] = tuple(np.asarray(array) for array in out)
        result = getattr(ufunc, method)(*plain, **options)
        return out[0] if out else np.asarray(result).view(DeviceArray)

    def __setitem__(self, index, value):
        _refuse_host(value)
        np.asarray(self)[index] = np.asarray(value)


def _refuse_host(operand):
    if DeviceArray.capturing:
        raise RuntimeError("operation not permitted when stream is capturing")
    if isinstance(operand, np.ndarray) and not isinstance(operand, DeviceArray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")


class Device(OnCpu):
    """As OnCpu, on DeviceArrays, and launches can be captured. `replays` counts the launches of each graph that ran."""

    array = DeviceArray

    def __init__(self, schedule="forward", seed=0):
        super().__init__(schedule, seed)
        self.graph, self.replays = None, []

    def happens(self, event):
        """Called before each "empty", "put", "get", "build", "launch", "capture" of a launch and "replay": a test may
        raise here."""

    def build(self, file, expression):
        self.happens("build")
        run = super().build(file, expression)

        def launch(grid, block, arguments, shared_mem=0):
            self.happens("launch" if self.graph is None else "capture")
            if self.graph is None:
                run(grid, block, arguments, shared_mem)
            else:
                self.graph.append((run, grid, block, arguments, shared_mem))

        return launch

    def capture(self, function):
        self.graph, DeviceArray.capturing = [], True
        try:
            function()
            return partial(self.replay, self.graph)
        finally:
            self.graph, DeviceArray.capturing = None, False

    def replay(self, graph):
        self.happens("replay")
        self.replays.append(len(graph))
        for run, *arguments in graph:
            run(*arguments)


@contextmanager
def cupy_on_cpu(schedule="forward", seed=0, device=None, **options):
    """→ (Backend, Device): inside this block the backend's kernels run on the CPU.   options: of the Backend"""
    device = device or Device(schedule, seed)

    def empty(shape, dtype):
        device.happens("empty")
        return poison(np.empty(shape, dtype)).view(DeviceArray)

    def put(array):
        device.happens("put")
        return np.array(array, order="C").view(DeviceArray)

    def get(array):
        device.happens("get")
        return np.array(array)

    with launch.run_on(device):
        yield Backend("cupy", np, cuda, empty, put, get, capture=device.capture, no_tf32="", **options), device
