"""CUDA kernels on a CPU: g++ compiles the `.cu` sources, every CUDA thread becomes a fiber, and what runs is compared
on NumPy arrays.

    CpuModule(source, name_expressions=[…]).get_function(name)(grid, block, arguments)      as cupy.RawModule
    with cupy_on_cpu() as (backend, device): …    the cupy backend itself, without CuPy: models, and kernels of your own
    SCHEDULES · poison(array) · BuildError · KernelFault · MemoryFault

How it works, what it sees and what it cannot see: README.md in this folder. Needs Linux on x86-64 and g++ 12 or later.
"""

from .build import BuildError
from .cpu_module import SCHEDULES, CpuModule, KernelFault
from .device import Device, DeviceArray, OnCpu, cupy_on_cpu
from .memory import MemoryFault, poison

__all__ = [
    "SCHEDULES", "BuildError", "CpuModule", "Device", "DeviceArray", "KernelFault", "MemoryFault", "OnCpu",
    "cupy_on_cpu", "poison",
]  # fmt: skip
