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

from scratchvae.cores import usable_cores
from scratchvae.errors import ConfigError, ScratchVAEError
from scratchvae.training import fit
from scratchvae.workers import Processes, Threads, blas_threads, processes_are_safe

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
    with pytest.raises(ConfigError, match="threads must be a whole number of at least 1"):
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


def run_for(seconds, job):
    """Steps of the job until these seconds are over."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        job.workers.run(job.write)
        job.workers.run(job.double)


@pytest.mark.parametrize("alone", [False, True])
def test_a_worker_that_dies_is_an_error_within_a_second_or_two_and_not_a_wait_for_ever(alone, monkeypatch):
    monkeypatch.setattr("scratchvae.workers.Helping", lambda: Always(alone))
    job = Job(Processes, 2)
    with job.workers as workers:
        workers.run(job.write)
        os.kill(workers._children[0].pid, signal.SIGKILL)
        with pytest.raises(ScratchVAEError, match="worker process died"):
            run_for(2.0, job)


class Always:
    """A choice between the two ways that is made beforehand, for steps of two calls: True is alone, False together."""

    def __init__(self, *ways):
        self.ways, self.step = ways, 0

    @property
    def alone(self):
        return self.ways[self.step % len(self.ways)]

    def took(self, seconds):
        assert seconds > 0
        self.step += 1


def test_a_worker_that_the_system_has_stopped_is_not_waited_for(monkeypatch):
    """A stopped process stands for one that other programs keep from its core: the caller does its shares."""
    monkeypatch.setattr("scratchvae.workers.Helping", lambda: Always(False))
    job = Job(Processes, 3)
    with job.workers as workers:
        workers.run(job.write)
        os.kill(workers._children[1].pid, signal.SIGSTOP)
        job.values[:] = 0
        began = time.perf_counter()
        for _ in range(100):
            workers.run(job.write)
            workers.run(job.double)
            assert job.values.tolist() == [2, 4, 6]
            job.values[:] = 0
        assert time.perf_counter() - began < 1.0  # waiting for it would never end
        os.kill(workers._children[1].pid, signal.SIGCONT)
        for _ in range(100):  # and when it comes back it does no share twice
            workers.run(job.write)
            workers.run(job.double)
            assert job.values.tolist() == [2, 4, 6]
            job.values[:] = 0


def test_processes_that_have_nothing_to_do_use_no_processor_time(monkeypatch):
    """Neither while the caller is busy elsewhere, nor while it does every share itself."""
    monkeypatch.setattr("scratchvae.workers.Helping", lambda: Always(True))
    job = Job(Processes, 2)
    with job.workers as workers:
        time.sleep(0.3)
        used = lambda: sum(map(int, Path(f"/proc/{workers._children[0].pid}/stat").read_text().split()[13:15]))
        before = used()
        time.sleep(0.5)
        run_for(0.5, job)
        assert used() - before <= 1  # hundredths of a second; spinning would be a hundred of them


def test_changing_the_way_changes_no_bit_of_a_checkpoint(tmp_path, tiny_data, tiny_vae, monkeypatch):
    options = {"epochs": 3, "batch_size": 7, "shards": 3, "clip": 5.0}
    fit(tiny_vae(), tiny_data, out=tmp_path / "one", threads=1, **options)
    monkeypatch.setattr("scratchvae.cores.usable_cores", lambda: 3)
    for ways in ((True,), (False,), (True, False), (False, False, True)):
        monkeypatch.setattr("scratchvae.workers.Helping", lambda ways=ways: Always(*ways))
        out = tmp_path / str(ways)
        fit(tiny_vae(), tiny_data, out=out, threads=3, **options)
        assert (out / "checkpoint.npz").read_bytes() == (tmp_path / "one" / "checkpoint.npz").read_bytes()


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
