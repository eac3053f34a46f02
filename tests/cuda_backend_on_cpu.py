"""The cupy backend on the CPU, as the tests want it: our kernels built in groups, CUDA's failures, and devices that are lost.

`pretended_cupy` is no more than the names that we catch errors by and ask the device for.
"""

from functools import partial
from types import SimpleNamespace

from cuda_kernels_on_cpu import Grouped

from scratchvae import cuda_on_cpu
from scratchvae.cuda_on_cpu import DeviceArray
from scratchvae.ops.cuda.device import failures


class Device(Grouped, cuda_on_cpu.Device):
    """A device on which kernels are built as GROUPS says."""


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


def cupy_on_cpu(schedule="forward", seed=0, device=None):
    """→ (Backend, Device): inside this block the backend's kernels run on the CPU."""
    return cuda_on_cpu.cupy_on_cpu(device=device or Device(schedule, seed), failures=partial(failures, pretended_cupy()))


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
