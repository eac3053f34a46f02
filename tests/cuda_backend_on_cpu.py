"""The cupy backend without CuPy and without a GPU: its own code and kernels, on arrays that behave as CuPy's do where it counts.

`DeviceArray` is a NumPy array that refuses to meet one of the host's. `capture` keeps launches with their scalars, as a CUDA
graph does, runs none of them meanwhile, and refuses all else.

`pretended_cupy` is no more than the names that we catch errors by and ask the device for.
"""

from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import numpy as np
from cuda_kernels_on_cpu import OnCpu

from scratchvae.backend import Backend
from scratchvae.checks.cuda_on_cpu import poison
from scratchvae.ops import cuda
from scratchvae.ops.cuda.device import failures
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

    def happens(self, event):
        """Called before each "empty", "put", "get", "build", "launch", "capture" of a launch and "replay": a test may raise here."""

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


class FailingDevice(Device):
    """Does `left` of these events and then raises this error, as does a lost device at whatever is asked of it."""

    def __init__(self, event, left, error):
        super().__init__()
        self.event, self.left, self.error = event, left, error

    def happens(self, event):
        self.left -= event == self.event
        if self.left < 0:
            raise self.error

    def replay(self, graph):
        if self.event == "replay" and self.left == 0:
            for run, *arguments in graph[: len(graph) // 2]:  # lost in the middle, with half of it done
                run(*arguments)
        super().replay(graph)


@contextmanager
def cupy_on_cpu(schedule="forward", seed=0, device=None):
    """→ (Backend, Device): inside this block the backend's kernels run on the CPU."""
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

    with run_on(device):
        cuda_failures = partial(failures, pretended_cupy())
        yield Backend("cupy", np, cuda, empty, put, get, cuda_failures, device.capture, no_tf32=""), device


class CudaError(RuntimeError):
    """CuPy's CUDARuntimeError and CUDADriverError."""

    def __init__(self, text, status=0):
        super().__init__(text)
        self.status = status


class OutOfMemory(MemoryError):
    """CuPy's OutOfMemoryError."""


class CompileError(Exception):
    """CuPy's CompileException."""


class NvrtcError(RuntimeError):
    """CuPy's NVRTCError."""


def pretended_cupy(error=None, capability="90"):
    """A CuPy whose getDeviceCount raises this error, on a GPU of this compute capability."""

    def count():
        if error:
            raise error

    cuda = SimpleNamespace(
        runtime=SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CudaError), driver=SimpleNamespace(CUDADriverError=CudaError),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemory), compiler=SimpleNamespace(CompileException=CompileError),
        nvrtc=SimpleNamespace(NVRTCError=NvrtcError), Device=lambda: SimpleNamespace(compute_capability=capability),
    )  # fmt: skip
    return SimpleNamespace(cuda=cuda, ndarray=DeviceArray)
