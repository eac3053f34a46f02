"""Workers that change speed and never bits: they share out pieces of work whose results do not depend on who does them.

Two kinds with one interface. `Threads` work anywhere. `Processes` are forked from the caller and share memory with it:
a training step makes some hundred short NumPy calls per shard, and threads that want the interpreter's lock after each
of them wait for one another longer than they compute; each process has a lock of its own.
"""

import contextlib
import mmap
import multiprocessing
import os
import signal
import sys
import time
import warnings
from queue import SimpleQueue
from threading import Thread

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from . import gate
from .cores import usable_cores
from .errors import ScratchVAEError
from .helping import Helping

# a sleeping process takes longer to wake than most waits last, so waits begin by looking again and again
SPIN_SECONDS = 0.001
LOOK_SECONDS = 1.0  # how often a sleeping process makes sure that the other one still lives


def blas_threads():
    """Threads that a matrix product of NumPy's would use here and now: what its library was told, by a variable of the
    environment or an open `Threads`, and never more than the cores."""
    told = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return min([usable_cores(), *told])


def processes_are_safe():
    """Whether `Processes` may be used: forking is sound on Linux, not with macOS's BLAS, and does not exist on
    Windows."""
    return sys.platform == "linux"


class Threads:
    """`count` threads, the caller among them, with BLAS held to one thread each. A context manager.

    One thread per piece with single-threaded BLAS beats multi-threaded BLAS with single-threaded elementwise work, and
    makes a product's bits independent of the number of threads.
    """

    def __init__(self, count):
        self.count = gate.whole("threads", count)

    def __enter__(self):
        self._blas = threadpool_limits(1, user_api="blas")
        self._tasks = [SimpleQueue() for _ in range(self.count - 1)]
        self._done = SimpleQueue()
        for worker, tasks in enumerate(self._tasks, 1):
            Thread(target=self._serve, args=(worker, tasks), daemon=True).start()
        return self

    def __exit__(self, *exception):
        for tasks in self._tasks:
            tasks.put(None)
        self._blas.restore_original_limits()

    def share(self, array):
        """The array itself: threads see all memory."""
        return array

    def run(self, function):
        """function(worker) on every worker 0 … count − 1; returns when all are done. The first error is raised."""
        for tasks in self._tasks:
            tasks.put(function)
        error = _attempt(function, 0)
        for _ in self._tasks:
            error = self._done.get() or error
        if error is not None:
            raise error

    def _serve(self, worker, tasks):
        while (function := tasks.get()) is not None:
            self._done.put(_attempt(function, worker))


class Processes:
    """`count` processes, the caller among them, with BLAS held to one thread each. A context manager.

    Name the functions before entering: the other processes are copies of this one as it is then, and see later changes
    only in arrays that came from `share`. A step begins with a call of the first of them.

    Beside other programs a process that is waited for may be one that the system has stopped for a while, so as little
    as possible is waited for. A share that its worker has not begun is done by the caller. A worker lets others of its
    core go first before it takes a share, and so is seldom stopped within one. And when one worker is faster, the
    others sleep (`helping.py`).
    """

    def __init__(self, count, functions=()):
        self.count, self.functions = gate.whole("threads", count), list(functions)
        self._spin = SPIN_SECONDS if count <= usable_cores() else 0.0

    def share(self, array):
        """A copy of the array in memory that all processes share."""
        if self.count == 1:
            return array
        copy = np.frombuffer(mmap.mmap(-1, max(array.nbytes, 1)), array.dtype, array.size).reshape(array.shape)
        copy[...] = array
        return copy

    def __enter__(self):
        self._blas = threadpool_limits(1, user_api="blas")
        fork = multiprocessing.get_context("fork")
        others = range(1, self.count)
        self._go, self._done = [fork.Semaphore(0) for _ in others], [fork.Semaphore(0) for _ in others]
        self._which = self.share(np.zeros(1, np.int64))
        self._errors = [fork.Pipe(duplex=False) for _ in others]
        self._failed = self.share(np.zeros(self.count, np.int64))
        self._helping, self._step_seconds, self._looked = Helping(), 0.0, time.perf_counter()
        self._parent = os.getpid()
        self._children = [fork.Process(target=self._serve, args=(worker,), daemon=True) for worker in others]
        with warnings.catch_warnings():
            # Python warns of forking beside threads, which BLAS keeps: the copies never use them, they hold BLAS to one
            # thread.
            warnings.simplefilter("ignore", DeprecationWarning)
            for child in self._children:
                child.start()
        return self

    def __exit__(self, *exception):
        for child in self._children:
            child.kill()  # not SIGTERM, which it ignores
        for child in self._children:
            child.join()
            child.close()
        for ends in self._errors:
            for end in ends:
                end.close()
        self._blas.restore_original_limits()

    def run(self, function):
        """function(worker) for every worker 0 … count − 1; returns when all are done. The first error is raised."""
        if not self._children:
            function(0)
            return
        which, began = self.functions.index(function), time.perf_counter()
        if which == 0 and self._step_seconds:
            self._helping.took(self._step_seconds)
            self._step_seconds = 0.0
        if began - self._looked > LOOK_SECONDS:
            self._looked = began
            self._all_live()
        self._which[0] = which
        if not self._helping.alone:
            for go in self._go:
                go.release()
        error = _attempt(function, 0)
        for worker, (go, done) in enumerate(zip(self._go, self._done, strict=True), 1):
            if self._helping.alone or go.acquire(block=False):
                error = _attempt(function, worker) or error
                continue
            self._wait(done, self._all_live)
            if self._failed[worker]:
                self._failed[worker] = 0
                error = error or self._errors[worker - 1][0].recv()
        self._step_seconds += time.perf_counter() - began
        if error is not None:
            raise error

    def _serve(self, worker):
        """The life of another process: wait for a turn, do the share, say so. Ctrl-C and SIGTERM are the first
        process's business."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with threadpool_limits(1, user_api="blas"), contextlib.suppress(_Gone):
            while True:
                self._wait(self._go[worker - 1], self._parent_lives, give_way=os.sched_yield)
                error = _attempt(self.functions[self._which[0]], worker)
                if error is not None:
                    self._errors[worker - 1][1].send(
                        ScratchVAEError(f"in worker {worker}: {type(error).__name__}: {error}")
                    )
                    self._failed[worker] = 1
                self._done[worker - 1].release()

    def _wait(self, semaphore, look, give_way=lambda: None):
        """Take the semaphore: try for a while, then sleep. Whoever should release it may have died: `look` raises _Gone
        then."""
        until = time.perf_counter() + self._spin
        give_way()
        while time.perf_counter() < until:
            if semaphore.acquire(block=False):
                return
            give_way()
        while not semaphore.acquire(timeout=LOOK_SECONDS):
            look()

    def _all_live(self):
        if not all(child.is_alive() for child in self._children):
            raise _Gone("a worker process died (out of memory?): resume the run, or use --threads 1")

    def _parent_lives(self):
        if os.getppid() != self._parent:
            raise _Gone("the first process died")


class _Gone(ScratchVAEError, RuntimeError):
    """The other process is no more."""


def _attempt(function, worker):
    """Run a share; hand an error over to the caller instead of losing it."""
    try:
        function(worker)
    except BaseException as error:  # a KeyboardInterrupt too: run raises it again
        return error
    return None
