"""One contestant of busy.py: trains for as many seconds as a line asks for, and answers with what a step took.

Which scratchvae it trains with is said by PYTHONPATH, so that another checkout can be raced.
"""

import json
import sys
import time

import numpy as np

from benchmarks.worker import cpu_seconds
from scratchvae import VAE, load_data, workers
from scratchvae.training import Optimiser, TrainingStep


class Never:
    """In place of `helping.Helping`: all workers take every step together."""

    alone = False

    def took(self, seconds):
        pass


def main(threads, always, width, batch_size):
    if always:
        workers.Helping = Never
    images = load_data("mnist-small").train.images
    model, optimiser, done = VAE(hidden=(width,)), Optimiser("adam"), 0
    optimiser.start(model.buffer.values)
    rows = np.random.default_rng(0).integers(0, len(images), (50, batch_size))
    with TrainingStep(model, optimiser, images, batch_size, threads=threads) as do:
        for line in sys.stdin:
            first, cpu, began = done, cpu_seconds(), time.perf_counter()
            while time.perf_counter() - began < float(line):
                do(rows[done % len(rows)], done, 1e-3)
                done += 1
            steps = done - first
            answer = {"ms": 1e3 * (time.perf_counter() - began) / steps, "cpu_ms": 1e3 * (cpu_seconds() - cpu) / steps}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
