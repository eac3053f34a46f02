"""Rows filled by several processes: the same whoever does them, nobody waited for, and no process left behind."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scratchvae.data import sharing
from scratchvae.data.sharing import share_out
from scratchvae.workers import processes_are_safe

forked = pytest.mark.skipif(not processes_are_safe(), reason="forking is not safe on this system")
N = 500
FIRST = os.getpid()


def shared_out(count, do=None, places=None):
    """→ rows, what was done, and how many were told of"""
    rows, done, told = np.zeros((N, 3), np.int64), np.zeros(N, np.uint16), []

    def fill(i, row):
        if do is not None:
            do(i)
        row[...] = i
        return 1 + i % 7

    share_out(fill, rows, np.arange(N) if places is None else places, done, count, lambda part: told.append(len(part)))
    return rows, done, sum(told)


def is_whole(rows, done, told):
    return (rows == np.arange(N)[:, None]).all() and (done == 1 + np.arange(N) % 7).all() and told == N


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_row_is_filled_and_told_of_once_by_any_number_of_workers(monkeypatch, count, safe):
    monkeypatch.setattr(sharing, "processes_are_safe", lambda: safe and processes_are_safe())
    assert is_whole(*shared_out(count))
    monkeypatch.setattr(sharing, "BYTES", 1)  # blocks of one row
    assert is_whole(*shared_out(count))
    places = np.random.default_rng(0).permutation(N)
    rows, _, told = shared_out(count, places=places)
    assert told == N
    assert (rows[places] == np.arange(N)[:, None]).all()


@forked
def test_the_others_do_their_part():
    here = []
    assert is_whole(*shared_out(2, lambda i: time.sleep(0.0005) or here.append(i)))
    assert 0.3 * N < len(here) < 0.7 * N


@forked
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSTOP])
def test_another_that_dies_or_is_stopped_is_not_waited_for(way):
    def do(i):
        time.sleep(0.0002)
        if os.getpid() != FIRST and i > N // 2:
            os.kill(os.getpid(), way)

    began = time.perf_counter()
    assert is_whole(*shared_out(3, do))
    assert time.perf_counter() - began < 5


@forked
def test_what_fails_in_another_fails_in_the_caller_and_what_fails_there_ends_the_others():
    def do(i):
        if i == N // 3:
            raise KeyError(i)

    for _ in range(5):
        with pytest.raises(KeyError, match=str(N // 3)):
            shared_out(3, do)


@forked
def test_an_interrupt_ends_all_and_leaves_signals_as_they_were():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def do(i):
        time.sleep(0.001)
        if i == 20:
            os.kill(FIRST, signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            shared_out(2, do)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


@forked
def test_the_others_end_when_the_first_process_is_killed():
    code = (
        "import os, time, numpy as np\n"
        "from scratchvae.data.sharing import share_out\n"
        "first = os.getpid()\n"
        "def do(i, row):\n"
        "    if os.getpid() == first: time.sleep(60)\n"
        "    print(os.getpid(), flush=True); time.sleep(0.01); return 1\n"
        "share_out(do, np.zeros((500, 1)), np.arange(500), np.zeros(500, int), 2, print)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until = time.perf_counter() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.perf_counter() < until
        time.sleep(0.05)
    parent.stdout.close()


@forked
def test_other_processes_collect_no_garbage():
    rows, done = np.zeros((N, 1), np.int64), np.zeros(N, np.uint16)

    def fill(i, row):
        row[...] = os.getpid()
        time.sleep(0.01 if os.getpid() == FIRST else 0)  # so that the other process has its share
        return 1 + gc.isenabled()

    share_out(fill, rows, np.arange(N), done, 2, lambda part: None)
    others = rows[:, 0] != FIRST
    assert others.any()
    assert set(done[others]) == {1}
    assert gc.isenabled()
