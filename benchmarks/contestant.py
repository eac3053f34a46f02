"""The harness's side of one worker: start it, ask it, stop it."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class PeerFailed(Exception):
    """A peer could not start or died; the text says why."""


def environment(threads):
    """The variables that fix thread counts. Libraries read them when they are first imported, so a worker starts
    with them. NPROC is what XLA's CPU client takes as the size of its pool."""
    count = str(threads)
    eigen = "true" if threads > 1 else "false"
    return {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "NPROC": count,
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
    }


class Contestant:
    """One worker process. ask() sends one request and waits for the answer; between requests the worker is blocked."""

    def __init__(self, name, threads, log=subprocess.DEVNULL, python=sys.executable):
        """name: of a peer · log: where its stderr goes · python: the interpreter that runs it, with its own packages"""
        self.name, self.answers = name, []
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment(threads)},
        )
        self.read()

    def ask(self, do, **request):
        """The answer of one command as a dict. Raises PeerFailed when the worker has died."""
        with contextlib.suppress(BrokenPipeError):  # read() says why
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
        return self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise PeerFailed(f"the worker ended with status {self.process.wait()} (--verbose shows its output)")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer

    def stop(self):
        """Close the pipe, which ends the worker, and wait for it."""
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
