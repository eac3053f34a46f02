"""Where the parts run and with which sizes: a GPU, or for a dry run the CPU, which takes the same code through small sizes."""

import contextlib
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.images import images
from scratchvae import VAE, backend
from scratchvae.training import DeviceStep, Optimiser, Schedule

TESTS = Path(__file__).resolve().parents[2] / "tests"


@dataclass
class Setting:
    """place: the Backend · models: {name: (hidden, latent, batch)} · dry: nothing here is a measurement."""

    place: object
    dry: bool
    models: dict = field(default_factory=dict)
    rounds: int = 15
    steps: int = 200  # of a sample, and of the compared training runs
    pixels: int = 784

    @property
    def precisions(self):
        """Those that this GPU has."""
        return ("fp32",) if self.place.no_tf32 else ("fp32", "tf32")

    def images(self):
        """uint8 (N, pixels), at least as many as the largest batch: the bundled digits, repeated."""
        digits = images("mnist-small")[:, : self.pixels]
        if self.dry:
            return np.ascontiguousarray(digits[:64])
        return np.tile(digits, (12, 1))

    def model(self, name, where, dtype=np.float32, **options):
        hidden, latent, _ = self.models[name]
        return VAE(self.pixels, hidden, latent, seed=1, dtype=dtype, backend=where, **options)

    def stopwatch(self):
        """→ function(work) → milliseconds: by events on the device, or the wall clock of a dry run."""
        if self.dry:
            return _wall
        cuda = self.place.xp.cuda

        def timed(work):
            start, stop = cuda.Event(), cuda.Event()
            start.record()
            work()
            stop.record()
            stop.synchronize()
            return cuda.get_elapsed_time(start, stop)

        return timed


@contextlib.contextmanager
def setting(dry):
    """The setting of this machine. Raises BackendError without a GPU, unless dry."""
    if not dry:
        models = {
            "tutorial, batch 20": ((400,), 20, 20), "tutorial, batch 128": ((400,), 20, 128), "tutorial, batch 1024": ((400,), 20, 1024),
            "wide, batch 8192": ((4096, 4096), 64, 8192),
        }  # fmt: skip
        yield Setting(backend.get("cupy"), False, models)
        return
    sys.path.insert(0, str(TESTS))
    from cuda_backend_on_cpu import cupy_on_cpu

    with cupy_on_cpu() as (place, _):
        yield Setting(place, True, {"tiny, batch 9": ((8,), 3, 9), "tiny, batch 20": ((8, 6), 3, 20)}, rounds=2, steps=7, pixels=12)


class Steps:
    """Training steps of one model, as many at a time as wanted, through the class that `scratchvae train` uses."""

    def __init__(self, model, images, batch, precision="fp32", graph=True, seed=0):
        self.optimiser = Optimiser("adam", backend=model.backend)
        self.optimiser.start(model.buffer.values)
        self.do = DeviceStep(model, self.optimiser, images, batch, precision=precision, graph=graph, seed=seed)
        self.full, self.done = len(images) // batch, 0
        self.schedule, self.order = Schedule(1e-3), None

    def __call__(self, count):
        """`count` updates on full batches → the sums of the loss over each stretch"""
        sums = []
        while count:
            epoch, place = divmod(self.done, self.full)
            if place == 0 or self.order is None:
                self.order = self.do.order(epoch)
            now = min(count, self.full - place)
            sums.append(self.do.run(self.order, place, now, self.done, self.schedule))
            self.done += now
            count -= now
        return sums


def _wall(work):
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000
