"""Runs kernels under AddressSanitizer + UndefinedBehaviorSanitizer or under ThreadSanitizer, in a process of their own.

A sanitizer must be there before anything else, so Python itself is started with the sanitizer's library preloaded. The
cases to run are named "module:function" (with arguments, if any); CpuModule builds for the sanitizer by itself there.
"""

import functools
import importlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scratchvae.cuda_on_cpu.build import RUNTIME, compiler

TESTS = Path(__file__).resolve().parent.parent
# Reports of a broken kernel are wanted in full: neither sanitizer stops at its first. Python frees little: no leak report.
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=0:exitcode=66",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "exitcode=66:report_thread_leaks=0",
}
SIGNS = ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer")


@dataclass
class Outcome:
    returncode: int
    output: str

    @property
    def clean(self):
        """Every case returned, and the sanitizer saw nothing."""
        return self.returncode == 0 and not any(sign in self.output for sign in SIGNS)


def run_sanitized(sanitizer, *cases, timeout=60):
    """Runs `cases` one after another in one process: each a function defined at a module's top, or (function, arguments…).

    The arguments must survive JSON. Returns an Outcome; raises subprocess.TimeoutExpired after `timeout` seconds.
    """
    named = [case if isinstance(case, tuple) else (case,) for case in cases]
    work = [[f"{function.__module__}:{function.__name__}", *arguments] for function, *arguments in named]
    library = subprocess.run([compiler(), f"-print-file-name={RUNTIME[sanitizer]}"], capture_output=True, text=True, check=True)
    path = [str(TESTS), str(TESTS.parent), *(part for part in [os.environ.get("PYTHONPATH")] if part)]
    environment = {
        **os.environ,
        **OPTIONS,
        "LD_PRELOAD": library.stdout.strip(),
        "CUDA_ON_CPU_SANITIZER": sanitizer,
        "PYTHONPATH": os.pathsep.join(path),
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [*_fixed_addresses(), sys.executable, "-m", "cuda_on_cpu.sanitize", json.dumps(work)]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout
    )
    return Outcome(done.returncode, done.stdout)


@functools.cache
def _fixed_addresses():
    """ThreadSanitizer wants its own part of the address space, which a kernel that randomises addresses widely may give away."""
    setarch = shutil.which("setarch")
    if setarch and subprocess.run([setarch, "x86_64", "-R", "true"], capture_output=True).returncode == 0:
        return [setarch, "x86_64", "-R"]
    return []


def main():
    for name, *arguments in json.loads(sys.argv[1]):
        module, function = name.split(":")
        print(f"\n==== {name} {arguments or ''}", flush=True)
        getattr(importlib.import_module(module), function)(*arguments)


if __name__ == "__main__":
    main()
