"""The cupy backend without CuPy and without a GPU: its own code and kernels, on arrays that behave as CuPy's do where it counts.

`DeviceArray` is a NumPy array that refuses to meet one of the host's. `capture` keeps launches with their scalars, as a CUDA
graph does, runs none of them meanwhile, and refuses all else.
"""

from contextlib import contextmanager

import numpy as np
from cuda_kernels_on_cpu import OnCpu

from scratchvae.backend import Backend
from scratchvae.checks.cuda_on_cpu import poison
from scratchvae.ops import cuda
from scratchvae.ops.cuda.launch import run_on


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
    """Where kernels run: as OnCpu, on DeviceArrays, and they can be captured. `replays` counts the graphs that were launched."""

    array = DeviceArray

    def __init__(self, schedule="forward", seed=0):
        super().__init__(schedule, seed)
        self.graph, self.replays = None, []

    def build(self, file, expression):
        run = super().build(file, expression)

        def launch(grid, block, arguments, shared_mem=0):
            if self.graph is None:
                run(grid, block, arguments, shared_mem)
            else:
                self.graph.append((run, grid, block, arguments, shared_mem))

        return launch

    def capture(self, function):
        self.graph, DeviceArray.capturing = [], True
        try:
            function()
            graph = self.graph
        finally:
            self.graph, DeviceArray.capturing = None, False

        def replay():
            self.replays.append(len(graph))
            for run, *arguments in graph:
                run(*arguments)

        return replay


@contextmanager
def cupy_on_cpu(schedule="forward", seed=0):
    """→ (Backend, Device): inside this block the backend's kernels run on the CPU."""
    device = Device(schedule, seed)
    empty = lambda shape, dtype: poison(np.empty(shape, dtype)).view(DeviceArray)
    put = lambda array: np.array(array, order="C").view(DeviceArray)
    get = lambda array: np.array(array)
    with run_on(device):
        yield Backend("cupy", np, cuda, empty, put, get, capture=device.capture), device
