"""Timing that can be trusted on a busy machine: interleaved rounds, paired ratios, and where the numbers were taken.

One round takes one sample of every contestant, and the next round starts with the next one, so that a slow minute of
the machine falls on all of them. A ratio is formed inside each round and summarised over the rounds: comparing the two
medians instead would compare samples of different moments.
"""

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import threadpoolctl

from .cores import usable_cores
from .errors import DataError
from .files import make_folder, write_json

FORMAT, VERSION = "scratchvae-benchmark", 1


@dataclass(frozen=True)
class Summary:
    """Median, quartiles and minimum of n samples, in the unit of the samples."""

    median: float
    q1: float
    q3: float
    min: float
    n: int

    @classmethod
    def of(cls, samples):
        """The summary of a non-empty sequence of finite numbers. Raises DataError for anything else."""
        values = np.asarray(samples, np.float64)
        if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
            raise DataError(f"a summary needs one or more finite numbers in a row, not {samples!r}")
        q1, median, q3 = np.percentile(values, [25, 50, 75])
        return cls(float(median), float(q1), float(q3), float(values.min()), int(values.size))

    def as_dict(self, unit=""):
        """A plain dict whose keys end in the unit: {'median_ms': ..., 'n': ...} for unit 'ms'."""
        tail = f"_{unit}" if unit else ""
        return {key if key == "n" else key + tail: value for key, value in asdict(self).items()}


def rotated(names, round_number):
    """The order of one round: round r starts with contestant r mod n."""
    start = round_number % len(names)
    return names[start:] + names[:start]


def interleave(samplers, rounds, between=None):
    """One sample of each contestant per round, in rotating order.

    samplers: {name: function without arguments that returns one sample} · between: called after every sample, for
    instance to let threads fall asleep. → {name: list of samples}, where index r of every list is round r.
    """
    names, samples = list(samplers), {name: [] for name in samplers}
    for r in range(rounds):
        for name in rotated(names, r):
            samples[name].append(samplers[name]())
            if between is not None:
                between()
    return samples


def paired_ratios(mine, theirs):
    """mine[r] / theirs[r] for each round r → list. Raises DataError when the rounds do not match."""
    if len(mine) != len(theirs):
        raise DataError(f"a paired ratio needs the same rounds on both sides, not {len(mine)} and {len(theirs)}")
    return [a / b for a, b in zip(mine, theirs, strict=True)]


def machine():
    """Where and when: CPU, caches, memory (MiB), load, system, Python, NumPy and its BLAS, as a dict ready for JSON."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "caches": _caches(),
        "memory_MiB": _memory_mib(),
        "load_average_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas(),
        "date_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def busy_seconds():
    """Processor seconds that all programs of this machine together have used since it started, time stolen by a
    hypervisor included; None where the system does not tell (other systems than Linux)."""
    for line in _lines("/proc/stat"):
        if line.startswith("cpu "):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return None


def blas():
    """The loaded linear-algebra and thread libraries: name, version, kernel choice, threads (no paths)."""
    keys = ("user_api", "internal_api", "version", "architecture", "threading_layer", "num_threads")
    return [{key: pool[key] for key in keys if key in pool} for pool in threadpoolctl.threadpool_info()]


def write_result(path, result):
    """Write a result as JSON with format and version, making its folder if need be."""
    make_folder(Path(path).parent)
    write_json(path, {"format": FORMAT, "version": VERSION, **result})


def read_result(path):
    """Read what write_result wrote. Raises DataError for a missing, damaged or foreign file."""
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a benchmark result: {error}") from error
    if not isinstance(result, dict) or result.get("format") != FORMAT:
        raise DataError(f"{path}: not a {FORMAT} file")
    if result.get("version") != VERSION:
        raise DataError(f"{path}: version {result.get('version')!r}, but this program reads version {VERSION}")
    return result


def _cpu_model():
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _caches():
    """{'L1 Data': '48K', ...} of core 0 where Linux tells it, else {}."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_lines(index / name) for name in ("level", "type", "size"))
        if level and kind and size:
            found[f"L{level[0]} {kind[0]}"] = size[0]
    return found


def _memory_mib():
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return round(int(line.split()[1]) / 1024)
    return None


def _lines(path):
    """The lines of a small text file, or [] where there is none (other systems than Linux)."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
