"""Workers: the same work whoever does it, errors that arrive, and no process left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from scratchvae.errors import ConfigError, ScratchVAEError
from scratchvae.workers import Processes, Threads, blas_threads, processes_are_safe, usable_cores

pytestmark = pytest.mark.skipif(not processes_are_safe(), reason="forking is not safe on this system")


class Job:
    """Each worker writes its own number, and may be told to fail."""

    def __init__(self, kind, count):
        self.fails = ()
        self.workers = Processes(count, [self.write, self.double]) if kind is Processes else Threads(count)
        self.values = self.workers.share(np.zeros(count))

    def write(self, worker):
        if worker in self.fails:
            raise KeyError(f"worker {worker} fails")
        self.values[worker] = worker + 1

    def double(self, worker):
        self.values[worker] *= 2


@pytest.mark.parametrize("kind", [Threads, Processes])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_worker_does_its_share_in_every_run(kind, count):
    job = Job(kind, count)
    with job.workers as workers:
        for _ in range(50):
            workers.run(job.write)
            workers.run(job.double)
            assert job.values.tolist() == [2 * (w + 1) for w in range(count)]
            job.values[:] = 0


@pytest.mark.parametrize("kind", [Threads, Processes])
@pytest.mark.parametrize("who", [0, 1])
def test_an_error_in_any_worker_reaches_the_caller_and_the_others_go_on(kind, who):
    job = Job(kind, 2)
    job.fails = (who,)
    with job.workers as workers:
        with pytest.raises((KeyError, ScratchVAEError), match=f"worker {who} fails"):
            workers.run(job.write)
        assert job.values[1 - who] == 2 - who
        workers.run(job.double)
        assert job.values[1 - who] == 2 * (2 - who)


def test_blas_threads_are_what_a_product_would_use_here_and_now():
    cores = usable_cores()
    with threadpool_limits(2, user_api="blas"):
        assert blas_threads() == min(2, cores)
        with Threads(2):
            assert blas_threads() == 1
        assert blas_threads() == min(2, cores)


@pytest.mark.parametrize("kind", [Threads, Processes])
def test_no_workers_are_refused(kind):
    with pytest.raises(ConfigError, match="threads must be at least 1"):
        kind(0)


def children():
    """Process numbers of our children that still run."""
    with open(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children") as file:
        return set(file.read().split())


def test_no_process_is_left_when_the_block_ends_even_by_an_error():
    before = children()

    def leave_by_an_error():
        with Job(Processes, 3).workers:
            assert len(children() - before) == 2
            raise RuntimeError("leave")

    with pytest.raises(RuntimeError, match="leave"):
        leave_by_an_error()
    assert children() == before


def test_a_worker_that_dies_is_an_error_and_not_a_wait_for_ever(monkeypatch):
    monkeypatch.setattr("scratchvae.workers.LOOK_SECONDS", 0.1)
    job = Job(Processes, 2)
    with job.workers as workers:
        workers.run(job.write)
        os.kill(workers._children[0].pid, signal.SIGKILL)
        with pytest.raises(ScratchVAEError, match="worker process died"):
            workers.run(job.write)


def test_workers_end_when_the_first_process_is_killed():
    code = (
        "import time, scratchvae.workers as w; w.LOOK_SECONDS = 0.1\n"
        "with w.Processes(2, [print]) as p:\n"
        "    print(p._children[0].pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    for _ in range(100):
        try:
            if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its parent by 5 s")


def test_the_threads_of_blas_are_given_back():
    from threadpoolctl import threadpool_info

    count = lambda: [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    before = count()
    for kind in (Threads, Processes):
        with kind(2):
            assert set(count()) == {1}
        assert count() == before
