"""The GPU itself: whether it can be used, what its failures are called, and graphs of launches."""

from contextlib import contextmanager, suppress

import numpy as np

from ...errors import BackendError, ScratchVAEError
from .noise import words

INSTALL = "pip install 'scratchvae[cuda13]' (NVIDIA driver 580 or newer) or 'scratchvae[cuda12]' (525 or newer)"
_KNOWN_ANSWER = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)  # Philox4x32-10 of counter 0 and key 0 (Random123)
_NO_DRIVER, _NO_DEVICE = 35, 100  # cudaErrorInsufficientDriver, cudaErrorNoDevice
_NO_MEMORY = 2  # cudaErrorMemoryAllocation and CUDA_ERROR_OUT_OF_MEMORY: of a graph, or of what the host lends
_MEMORY_FULL = "take a smaller --batch-size or model, or stop other programs"


def probe():
    """CuPy, after one of our kernels was compiled, run on the GPU and gave the right answer. Raises BackendError, in one line:
    what is missing, and which command installs it."""
    try:
        import cupy
    except ImportError as error:
        missing = "is not installed" if error.name == "cupy" else f"cannot be imported ({_line(error)})"
        raise BackendError(f"the cupy backend needs CuPy, which {missing}: {INSTALL}") from None
    except OSError as error:
        raise BackendError(_no_cache(error)) from None
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendError(_unusable(error.status, _line(error))) from None
    try:
        with failures(cupy, "the CUDA probe failed"):
            found = words(cupy.empty((1, 4), np.uint32), 0, 0, 0).get()[0]
    except ScratchVAEError:
        raise
    except OSError as error:
        raise BackendError(_no_cache(error)) from None
    except (RuntimeError, AssertionError) as error:  # CuPy's own, of headers or functions that it does not find: nobody else ran
        raise BackendError(f"the CUDA probe failed, CUDA's libraries are missing or broken ({_line(error)}): {INSTALL}") from error
    if tuple(found) != _KNOWN_ANSWER:
        raise BackendError(f"the CUDA probe computed {[hex(word) for word in found]}: this GPU or its driver is broken")
    return cupy


def _no_cache(error):
    return f"CuPy cannot write its cache of kernels ({_line(error)}): set CUPY_CACHE_DIR to a folder that can be written"


def _unusable(status, text):
    if status == _NO_DRIVER:
        return (f"no NVIDIA driver, or one older than this CuPy's CUDA ({text}): sudo apt install nvidia-driver-580-server, "
                "or for an older driver pip install 'scratchvae[cuda12]'")  # fmt: skip
    if status == _NO_DEVICE:
        return f"no NVIDIA GPU is visible ({text}): `nvidia-smi` must list one, and CUDA_VISIBLE_DEVICES must not hide it"
    return f"CUDA cannot be used ({text}): `nvidia-smi` shows whether driver and GPU work"


@contextmanager
def failures(cupy, doing="CUDA failed"):
    """Inside this block CUDA's own errors become BackendErrors of one line, saying what to do."""
    cuda = cupy.cuda
    try:
        yield
    except cuda.memory.OutOfMemoryError as error:
        raise BackendError(f"the GPU's memory is full ({_line(error)}): {_MEMORY_FULL}") from error
    except cuda.compiler.CompileException as error:
        raise BackendError(f"{doing}: a kernel does not compile ({_line(error)}): {INSTALL} brings matching CUDA libraries") from error
    except (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError) as error:
        if error.status == _NO_MEMORY:
            raise BackendError(f"the GPU's memory is full ({_line(error)}): {_MEMORY_FULL}") from error
        raise BackendError(f"{doing}: {_line(error)}. The GPU takes no more work from this process: start it anew") from error
    except (cuda.nvrtc.NVRTCError, RuntimeError) as error:
        theirs = type(error).__module__.startswith(("cupy", "cuda")) or str(error).startswith("CuPy failed")
        if not theirs:
            raise
        raise BackendError(f"{doing}, CUDA's libraries are missing or broken ({_line(error)}): {INSTALL}") from error


def capture(cupy):
    """→ capture(function): the launches of function() as one CUDA graph → a function that runs them, on the current stream.

    While it is captured nothing runs, so function may neither allocate nor read: all it launches must have run before. What
    function raises is raised here.
    """

    def captured(function):
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            try:
                function()
            except BaseException:
                with suppress(cupy.cuda.runtime.CUDARuntimeError):  # that the capture is invalid: function's error says why
                    stream.end_capture()
                raise
            return stream.end_capture().launch

    return captured


def _line(error):
    return " ".join(str(error).split())[:300]
