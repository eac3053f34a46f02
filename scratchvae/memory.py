"""How much memory there is: what is asked for is compared with it before anything is allocated."""

import os
from math import inf
from pathlib import Path, PurePosixPath

from .errors import ConfigError

SMALL = 1 << 26  # bytes that are not worth the question


def require(needs, cure):
    """Raise ConfigError, naming each need and the cure, when there is not so much memory.   needs: {what: bytes}"""
    total = sum(needs.values())
    if total > SMALL and total > (free := available()):
        told = "; ".join(f"{what} {size(count)}" for what, count in needs.items())
        raise ConfigError(f"this needs about {size(total)} of memory, and {size(free)} are free ({told}): {cure}")


def size(count):
    """4.2 GB"""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if count < 1000 or unit == "PB":
            return f"{count:.3g} {unit}"
        count /= 1000
    return None


def available():
    """Bytes that this process may still take, infinity where that is not known.

    Linux: memory that is free or can be freed, and swap, within the limits of control groups (version 2) and `ulimit
    -v`. macOS: all that the machine has.
    """
    known = {
        line.partition(":")[0]: int(line.split()[1]) * 1024
        for line in _text("/proc/meminfo").splitlines()
        if "kB" in line
    }
    if "MemAvailable" in known:
        return max(0, min(known["MemAvailable"] + known.get("SwapFree", 0), _granted(), _unlimited()))
    names = getattr(os, "sysconf_names", {})
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else inf


def _granted(groups="/proc/self/cgroup", mounted="/sys/fs/cgroup"):
    """What the control groups of this process leave it: their limits, less what is used and could not be dropped."""
    left = inf
    for line in _text(groups).splitlines():
        _, kinds, place = line.split(":", 2)
        for folder in [] if kinds else [PurePosixPath(place), *PurePosixPath(place).parents]:
            folder = Path(mounted) / folder.relative_to("/")
            most, used = _text(folder / "memory.max").strip(), _text(folder / "memory.current").strip()
            if most.isdigit() and used.isdigit():
                cached = [
                    int(row.split()[1])
                    for row in _text(folder / "memory.stat").splitlines()
                    if row.startswith("inactive_file ")
                ]
                left = min(left, int(most) - int(used) + sum(cached))
    return left


def _unlimited():
    """What `ulimit -v` leaves of this process's addresses."""
    import resource  # not on Windows

    most, used = resource.getrlimit(resource.RLIMIT_AS)[0], _text("/proc/self/statm").split()
    return inf if most == resource.RLIM_INFINITY or not used else most - int(used[0]) * resource.getpagesize()


def _text(path):
    """What a small file says, or nothing where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
