"""One peer in a process of its own: waits on a pipe, does what one line of JSON asks, answers with one line.

Started by race.py as `python -m benchmarks.worker NAME`. While it waits it is blocked in a read. It measures itself
what it burns meanwhile (threads that spin), and reports that as idle_cpu_ms.
"""

import json
import os
import sys
import time
from pathlib import Path

from benchmarks import peers
from benchmarks.images import images
from benchmarks.peers.common import EVALUATED

CHECKED = 50


class Worker:
    """The commands, one method each. They return a dict of JSON values."""

    def __init__(self, name):
        self.peer = peers.load(name)

    def setup(self, data, **options):
        began = time.perf_counter()
        self.peer.setup(images(data), **options)
        return {"versions": self.peer.versions, "setup_ms": 1e3 * (time.perf_counter() - began)}

    def step(self, n, lead_in_s=0.0):
        """n steps timed, after lead_in_s seconds of untimed ones."""
        began = time.perf_counter()
        while time.perf_counter() - began < lead_in_s:
            self.peer.run_steps(n)
        return timed(self.peer.run_steps, n, count=n)

    def warm_up(self, steps, seconds):
        """That many untimed steps, or as many as fit into these seconds after the first ones, which compile.

        The loss after CHECKED steps from the same weights on the same images tells whether peers do the same work.
        """
        done = min(CHECKED, steps)
        check = {"check_steps": done, "check_loss_nats": self.peer.run_steps(done)}
        began = time.perf_counter()
        while done < steps and time.perf_counter() - began < seconds:
            self.peer.run_steps(min(10, steps - done))
            done += min(10, steps - done)
        return {**check, "warm_up_steps": done}

    def epoch(self):
        return timed(self.peer.epoch)

    def evaluate(self, batch_size):
        return timed(self.peer.evaluate, batch_size)

    def sample(self, batch_size):
        return timed(self.peer.sample, EVALUATED, batch_size)

    def finish(self):
        from scratchvae.timing import blas

        return {"peak_memory_MiB": peak_memory_mib(), "blas": blas()}


def timed(function, *arguments, count=1):
    """Wall and processor time of one call divided by count, and the loss if it returned one."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    value = function(*arguments)
    wall = time.perf_counter() - wall
    loss = value if isinstance(value, float) else None
    return {"ms": 1e3 * wall / count, "cpu_ms": 1e3 * (cpu_seconds() - cpu) / count, "loss_nats": loss}


def children():
    """The folders in /proc of the processes that this one has started and that still run; [] without Linux's /proc."""
    found = []
    for listing in Path("/proc/self/task").glob("*/children"):
        found += [Path("/proc") / number for number in listing.read_text().split()]
    return found


def cpu_seconds():
    """Processor time of this process and its children, dead ones included."""
    nanoseconds = [int((child / "schedstat").read_text().split()[0]) for child in children()]
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system + sum(nanoseconds) / 1e9


def peak_memory_mib():
    """The largest resident set so far, in MiB, and the children's on top of it (memory they share counts for each).

    None where the system does not tell (Windows).
    """
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    total = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    for child in children():
        for line in (child / "status").read_text().splitlines():
            if line.startswith("VmHWM"):
                total += int(line.split()[1]) / 2**10
    return total


def main(name):
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not reach the pipe
    try:
        worker = Worker(name)
    except ImportError as error:
        print(json.dumps({"error": f"cannot be imported: {error}"}), file=answers, flush=True)
        return
    print(json.dumps({"ready": name}), file=answers, flush=True)
    idle_from = cpu_seconds()
    for line in sys.stdin:
        idle_cpu_ms = 1e3 * (cpu_seconds() - idle_from)
        request = json.loads(line)
        command = request.pop("do")
        began = cpu_seconds()
        answer = getattr(worker, command)(**request)
        answer |= {"idle_cpu_ms": idle_cpu_ms, "total_cpu_s": cpu_seconds() - began}
        print(json.dumps(answer), file=answers, flush=True)
        if command == "finish":
            return
        idle_from = cpu_seconds()


if __name__ == "__main__":
    main(sys.argv[1])
