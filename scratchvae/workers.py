"""Threads that change speed and never bits: they share out pieces of work whose results do not depend on who does them."""

import os
from queue import SimpleQueue
from threading import Thread

from threadpoolctl import threadpool_limits

from .errors import ConfigError


def usable_cores():
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """`count` threads, the caller among them, with BLAS held to one thread each. A context manager.

    One thread per shard with single-threaded BLAS beats multi-threaded BLAS with single-threaded elementwise work, and
    makes a product's bits independent of the number of threads.
    """

    def __init__(self, count):
        if count < 1:
            raise ConfigError(f"threads must be at least 1, not {count}")
        self.count = count

    def __enter__(self):
        self._blas = threadpool_limits(1, user_api="blas")
        self._tasks = [SimpleQueue() for _ in range(self.count - 1)]
        self._done = SimpleQueue()
        for tasks in self._tasks:
            Thread(target=self._serve, args=(tasks,), daemon=True).start()
        return self

    def __exit__(self, *exception):
        for tasks in self._tasks:
            tasks.put(None)
        self._blas.restore_original_limits()

    def run(self, function, pieces):
        """function(piece) for every piece of a list, shared out in turn; returns when all are done. The first error is raised."""
        shares = [pieces[i :: self.count] for i in range(self.count)]
        busy = [tasks for tasks, share in zip(self._tasks, shares[1:], strict=True) if share]
        for tasks, share in zip(busy, shares[1:], strict=False):
            tasks.put((function, share))
        error = _attempt(function, shares[0])
        for _ in busy:
            error = self._done.get() or error
        if error is not None:
            raise error

    def _serve(self, tasks):
        while (task := tasks.get()) is not None:
            self._done.put(_attempt(*task))


def _attempt(function, pieces):
    """Run the pieces; hand an error over to the caller's thread instead of losing it."""
    try:
        for piece in pieces:
            function(piece)
    except BaseException as error:  # a KeyboardInterrupt too: Workers.run raises it again
        return error
    return None
