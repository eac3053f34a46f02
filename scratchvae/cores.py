"""How many cores this process may use: its affinity, and the share of processor time that a container grants."""

import os
from math import ceil, inf
from pathlib import Path, PurePosixPath

from . import gate


def usable_cores():
    """Cores that this process may use: those it may run on, and no more than a container's share of processor time is
    worth."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; PYTHON_CPU_COUNT speaks there too
        cores = os.process_cpu_count()
    else:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, ceil(min(cores or 1, _granted_cores())))


def worker_count(threads=None):
    """How many workers to use where `threads` are asked for, None for one per core: more than cores would only disturb
    one another."""
    return usable_cores() if threads is None else min(gate.whole("threads", threads), usable_cores())


def _granted_cores(groups=Path("/proc/self/cgroup"), mounted=Path("/sys/fs/cgroup")):
    """Processor time per time that the control groups of this process grant (Linux, versions 2 and 1), else
    infinity."""
    granted = [inf]
    for line in _text(groups).splitlines():
        _, kinds, place = line.split(":", 2)
        if kinds and "cpu" not in kinds.split(","):
            continue
        # a container may see its own group as the root
        for folder in [PurePosixPath(place), *PurePosixPath(place).parents]:
            folder = mounted / kinds / folder.relative_to("/")
            if kinds:
                quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
            else:
                quota, _, period = _text(folder / "cpu.max").partition(" ")
            if quota.strip().isdigit() and period.strip().isdigit():  # neither "max" nor -1
                granted.append(int(quota) / int(period))
    return min(granted)


def _text(path):
    """What a small file says, or nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
