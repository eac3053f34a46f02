"""Faults injected on purpose: damaged files of every format, kills at every write, full disks. `python -m benchmarks.faults` runs all."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # with more it starts threads in each child, and sends SIGINT where it cannot
