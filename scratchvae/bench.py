"""`scratchvae bench`: how long a training step, an evaluation and a sampling take here, beside the bare matrix
products."""

import time

import numpy as np

from . import backend as backends
from . import rng, timing
from .cores import worker_count
from .data import load
from .errors import ConfigError
from .evaluate import image_terms
from .models import VAE
from .nn import Dense
from .training import DeviceStep, Optimiser, Schedule, TrainingStep
from .training.step import shard_bounds
from .workers import Processes, Threads, processes_are_safe

IMAGES = 1000  # per sample of evaluation and of sampling


class Products:
    """The matrix products of one training step and nothing else, into buffers made beforehand: the floor of a step.

    A context manager, with workers of the kind that a training step has.
    """

    def __init__(self, model, rows, threads, shards):
        layers = [layer for _, layer in model.modules() if isinstance(layer, Dense)]
        self.shards = [
            [_Product(layer, stop - start) for layer in layers] for start, stop in shard_bounds(rows, shards)
        ]
        self.workers = Processes(threads, [self._share]) if processes_are_safe() and threads > 1 else Threads(threads)

    def __enter__(self):
        self.workers.__enter__()
        return self

    def __exit__(self, *exception):
        self.workers.__exit__(*exception)

    def __call__(self):
        """All products of all shards."""
        self.workers.run(self._share)

    def _share(self, worker):
        for products in self.shards[worker :: self.workers.count]:
            for product in products:
                product.forward()
            for product in reversed(products):
                product.backward()


class _Product:
    """Y = X W, then dW = Xᵀ dY and dX = dY Wᵀ, on random numbers: a dense layer without bias and activation."""

    def __init__(self, layer, rows):
        generator = np.random.default_rng(0)
        draw = lambda *shape: generator.standard_normal(shape).astype(np.float32)
        self.X, self.dY, self.W = draw(rows, layer.inputs), draw(rows, layer.outputs), draw(layer.inputs, layer.outputs)
        self.Y, self.dW = np.empty_like(self.dY), np.empty_like(self.W)
        self.dX = np.empty_like(self.X) if layer.input_gradient else None

    def forward(self):
        np.matmul(self.X, self.W, out=self.Y)

    def backward(self):
        np.matmul(self.X.T, self.dY, out=self.dW)
        if self.dX is not None:
            np.matmul(self.dY, self.W.T, out=self.dX)


def measure(batch_size=128, threads=None, rounds=10, steps=20, backend="numpy"):
    """Medians over interleaved rounds for the tutorial VAE on the bundled images → a dict ready for JSON.

    One sample of a training step is the mean of `steps` of them; evaluation and sampling take 1,000 images.
    With backend "cupy" the same is timed on the GPU too, up to the moment when the host has the result.
    """
    device = backends.get(backend)
    threads = worker_count(threads)
    images = load("mnist-small").train.images
    if batch_size > len(images):
        raise ConfigError(f"batch-size must be at most {len(images)}, the number of bundled images, not {batch_size}")
    model = VAE(images.shape[1])
    optimiser = Optimiser("adam")
    optimiser.start(model.buffer.values)
    order, done = rng.permutation(0, 0, len(images)), 0

    shards = max(2, threads)
    with (
        TrainingStep(model, optimiser, images, batch_size, threads=threads, shards=shards) as do,
        Products(model, batch_size, min(threads, shards), shards) as products,
        Threads(threads) as workers,
    ):

        def train():
            nonlocal done
            for _ in range(steps):
                first = done * batch_size % (len(images) - batch_size + 1)
                do(order[first : first + batch_size], done, 1e-3)
                done += 1

        samplers = {
            "training step": _timed(train, steps),
            "matrix products of a step": _timed(lambda: [products() for _ in range(steps)], steps),
            f"evaluation of {IMAGES:,} images": _timed(lambda: image_terms(model, images[:IMAGES], workers)),
            f"sampling of {IMAGES:,} images": _timed(lambda: model.sample(IMAGES)),
        }
        if device.name != "numpy":
            samplers |= _on_device(device, images, batch_size, steps)
        for sampler in samplers.values():
            sampler()
        samples = timing.interleave(samplers, rounds)
    operations = sum(m.operations(batch_size) or 0 for _, m in model.modules())
    return {
        "machine": timing.machine(), "model": "VAE 784-400-20", "batch_size": batch_size, "threads": threads,
        "rounds": rounds, "operations_per_step": operations,
        "times": {name: timing.Summary.of(values).as_dict("ms") for name, values in samples.items()},
        "step_over_products": timing.Summary.of(
            timing.paired_ratios(samples["training step"], samples["matrix products of a step"])
        ).as_dict(),
    }


def _on_device(device, images, batch_size, steps):
    """The samplers of the same work on a GPU. A training step is one of `steps` that the host waits for together."""
    model = VAE(images.shape[1], backend=device)
    optimiser = Optimiser("adam", backend=device)
    optimiser.start(model.buffer.values)
    do, order, schedule, done = (
        DeviceStep(model, optimiser, images, batch_size),
        rng.permutation(0, 0, len(images)),
        Schedule(),
        0,
    )
    steps = min(steps, len(images) // batch_size)

    def train():
        nonlocal done
        place = done if done + steps <= len(images) // batch_size else 0
        do.run(order, place, steps, done, schedule)
        done = place + steps

    return {
        f"training step, {device.name}": _timed(train, steps),
        f"evaluation, {device.name}": _timed(lambda: image_terms(model, images[:IMAGES], None)),
        f"sampling, {device.name}": _timed(lambda: model.sample(IMAGES)),
    }


def table(result):
    """The result of `measure` as text."""
    lines = [
        f"{result['model']}, batch size {result['batch_size']}, float32, {result['threads']} threads on "
        f"{result['machine']['cpu']}"
    ]
    lines.append(f"{'':28}{'median':>10}{'quartiles':>20}")
    for name, t in result["times"].items():
        quartiles = f"{t['q1_ms']:.2f} … {t['q3_ms']:.2f}"
        lines.append(f"{name:28}{t['median_ms']:>7.2f} ms{quartiles:>17} ms")
    step = result["times"]["training step"]["median_ms"] / 1000
    lines.append(
        f"{result['batch_size'] / step:,.0f} images/s, {result['operations_per_step'] / step / 1e9:,.0f} GFLOP/s; a "
        f"step takes {result['step_over_products']['median']:.2f} times its matrix products"
    )
    return "\n".join(lines)


def _timed(function, repeats=1):
    """A sampler: milliseconds per repeat of one call."""

    def sample():
        start = time.perf_counter()
        function()
        return (time.perf_counter() - start) * 1000 / repeats

    return sample
