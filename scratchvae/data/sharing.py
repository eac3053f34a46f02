"""Rows of an array filled by several processes, of which only one keeps the array.

It costs time when shared memory is first touched: for 10,000 small JPEGs, a sixth of what decoding them takes. So the
others put their rows into a few slots, the same again and again, and this process moves them to where they belong.

No process waits for another. Each block of rows is a line in a pipe, which the next free process takes out. Blocks that
the others have begun and not brought when nothing else is left, because they are slow, stopped or dead, this process
does as well. It changes no bit.
"""

import contextlib
import gc
import mmap
import os
import signal
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from scratchvae.workers import processes_are_safe

BLOCK, BYTES = 32, 1 << 20  # most rows and, if they are more than one, most bytes of a block
AHEAD = 4  # blocks that another process may do before this one takes them
TASK = struct.Struct("qq")  # which block, and the slot it goes to


def share_out(do, rows, places, done, count, tell):
    """done[i] = do(i, rows[places[i]]) for every i, on `count` workers.

    do(i, row)  writes the row and returns a number other than 0; it may not depend on who does it
    done        zeros (N,)
    tell(part)  is called with each part of `done` that is new; what it raises ends the work
    Where forking is not safe, the workers are threads.
    """
    size = max(1, min(BLOCK, BYTES // max(1, rows[0].nbytes)))
    blocks = [slice(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]

    def do_block(block, into, results):
        for nth, (i, row) in enumerate(zip(range(block.start, block.stop), into, strict=False)):
            results[nth] = do(i, row)
        return results

    def do_here(block):
        return do_block(block, (rows[place] for place in places[block]), done[block])

    if count == 1 or not processes_are_safe():
        with ThreadPoolExecutor(count) as pool:
            try:
                for part in pool.map(do_here, blocks):
                    tell(part)
            finally:
                pool.shutdown(cancel_futures=True)
        return
    slots = _shared((AHEAD * (count - 1), size, *rows.shape[1:]), rows.dtype)
    results = _shared(slots.shape[:2], done.dtype)

    def serve(tasks, filled):
        while task := os.read(tasks, TASK.size):
            block, slot = TASK.unpack(task)
            do_block(blocks[block], slots[slot], results[slot])
            os.write(filled, task)

    with _others(serve, count - 1) as (tasks, filled):
        left = iter(range(len(blocks)))

        def give(slot):
            if (block := next(left, None)) is not None:
                os.write(tasks, TASK.pack(block, slot))

        def take():
            with contextlib.suppress(BlockingIOError):
                for number, slot in TASK.iter_unpack(os.read(filled, 64 * TASK.size)):
                    block = blocks[number]
                    if not done[block.start]:
                        rows[places[block]] = slots[slot][: block.stop - block.start]
                        done[block] = results[slot][: block.stop - block.start]
                        tell(done[block])
                    give(slot)

        for slot in range(len(slots)):
            give(slot)
        for number in left:
            tell(do_here(blocks[number]))
            take()
        for block in reversed(blocks):
            if not done[block.start]:
                take()
            if not done[block.start]:
                tell(do_here(block))


@contextlib.contextmanager
def _others(serve, count):
    """`count` forked processes that serve(tasks to read, results to write) until the block ends → (tasks to write,
    results to read)"""
    (tasks, give), (take, filled) = os.pipe(), os.pipe()
    os.set_blocking(take, False)
    children = []
    # for good in the others: not their business
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        try:
            for _ in range(count):
                with warnings.catch_warnings():
                    # Python warns of forking beside threads, which BLAS keeps: the copies compute nothing with BLAS.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    child = os.fork()
                if child == 0:
                    _be_another(lambda: serve(tasks, filled), give, take)
                children.append(child)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield give, take
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        for end in (tasks, give, take, filled):
            os.close(end)


def _be_another(serve, *ends):
    """The life of a forked process. What goes wrong in it goes wrong again in the first process, which tells of it."""
    try:
        gc.disable()  # it would touch every object, and each page touched is copied
        for end in ends:
            os.close(end)  # so that the pipes end when the first process does
        serve()
    finally:
        os._exit(0)


def _shared(shape, dtype):
    """Zeros in memory that forked processes share."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, size), dtype).reshape(shape)
