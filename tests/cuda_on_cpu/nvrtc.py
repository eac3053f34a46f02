"""CUDA's own compiler without a GPU or a driver: machine code, what it uses of the hardware, and its instructions.

NVRTC and nvdisasm come from pip (nvidia-cuda-nvrtc, nvidia-cuda-runtime and nvidia-cuda-crt for the headers,
nvidia-cuda-nvdisasm), and are called through ctypes and as a program.
"""

import contextlib
import ctypes
import fnmatch
import functools
import importlib.metadata
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

STANDARD = "c++17"
WANTED_ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


class CompileError(RuntimeError):
    """NVRTC refused the source; the message is its log."""


@dataclass(frozen=True)
class Resources:
    """What one kernel takes, as ptxas reports it. Bytes, except `registers` (per thread)."""

    registers: int
    stack: int
    spilled: int
    shared: int


@dataclass(frozen=True)
class Program:
    architecture: int
    cubin: bytes
    log: str
    symbols: dict  # name expression → the name in the machine code

    @functools.cached_property
    def resources(self):
        """Name expression → Resources."""
        reports = {report.split("'", 2)[1]: report for report in self.log.split("Compiling entry function ")[1:]}
        return {name: _read_resources(reports[symbol]) for name, symbol in self.symbols.items()}

    @functools.cached_property
    def instructions(self):
        """Name expression → its machine instructions, in order, as nvdisasm writes them ("LDG.E.128 R4, …")."""
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(self.cubin)
            file.flush()
            listing = subprocess.run([_nvdisasm(), "-c", file.name], capture_output=True, text=True, check=True).stdout
        sections = re.split(r"^\s*\.section\s+\.text\.(\S+?),.*$", listing, flags=re.MULTILINE)
        by_symbol = dict(zip(sections[1::2], sections[2::2], strict=True))
        return {name: re.findall(r"/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;", by_symbol[symbol]) for name, symbol in self.symbols.items()}

    def count(self, name, pattern):
        """How many instructions of the kernel match `pattern` (a regular expression, at the instruction's start)."""
        return sum(bool(re.match(r"(?:@!?\w+ +)?" + pattern, instruction)) for instruction in self.instructions[name])


def _read_resources(report):
    def number(pattern):
        found = re.search(pattern, report)
        return int(found[1]) if found else 0

    return Resources(
        registers=number(r"Used (\d+) registers"),
        stack=number(r"(\d+) bytes stack frame"),
        spilled=number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        shared=number(r"(\d+) bytes smem"),
    )


def compile(source, architecture, name_expressions, options=()):
    """`source`: a Path to a .cu file, or the code itself; plain kernels are named by their names."""
    path = source if isinstance(source, Path) else None
    text = path.read_text(encoding="utf-8") if path else source
    flags = [f"--gpu-architecture=sm_{architecture}", f"--std={STANDARD}", "--ptxas-options=-v", f"-I{_headers()}"]
    flags += [f"-I{path.parent}"] if path else []
    nvrtc, program = _nvrtc(), ctypes.c_void_p()
    name = (path.name if path else "kernels.cu").encode()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name, 0, None, None))
    try:
        for expression in name_expressions:
            _check(nvrtc.nvrtcAddNameExpression(program, expression.encode()))
        flags = [flag.encode() for flag in (*flags, *options)]
        status = nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log = _bytes(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).rstrip(b"\0").decode()
        if status:
            raise CompileError(log)
        symbols = {}
        for expression in name_expressions:
            symbol = ctypes.c_char_p()
            _check(nvrtc.nvrtcGetLoweredName(program, expression.encode(), ctypes.byref(symbol)))
            symbols[expression] = symbol.value.decode()
        cubin = _bytes(program, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return Program(architecture, cubin, log, symbols)


def version():
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def architectures():
    """Those we want that this NVRTC knows: sm_75 …"""
    count = ctypes.c_int()
    _check(_nvrtc().nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    known = (ctypes.c_int * count.value)()
    _check(_nvrtc().nvrtcGetSupportedArchs(known))
    return [architecture for architecture in WANTED_ARCHITECTURES if architecture in known]


def _bytes(program, size_of, get):
    size = ctypes.c_size_t()
    _check(size_of(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(get(program, buffer))
    return buffer.raw


def _check(status):
    if status:
        raise CompileError(_nvrtc().nvrtcGetErrorString(status).decode())


@functools.cache
def _nvrtc():
    library = _installed("nvidia-cuda-nvrtc", "libnvrtc.so.*")
    for builtins in sorted(library.parent.glob("libnvrtc-builtins.so.*")):
        ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)  # NVRTC looks for it by name
    nvrtc = ctypes.CDLL(str(library))
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    return nvrtc


@functools.cache
def _headers():
    _installed("nvidia-cuda-crt", "mma.h")  # <mma.h> includes <crt/mma.h>
    return _installed("nvidia-cuda-runtime", "cuda_fp16.h").parent


@functools.cache
def _nvdisasm():
    return _installed("nvidia-cuda-nvdisasm", "nvdisasm")


def _installed(distribution, pattern):
    """The path of a file that a pip package brought. setup.cfg says which versions: CUDA 12's packages have other names."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files(distribution) or []:
            if fnmatch.fnmatch(file.name, pattern):
                return Path(file.locate()).resolve()
    raise RuntimeError(f"{pattern} not found: pip install {distribution}")
