"""One training step: S logical shards → a fixed tree of sums → one update (DESIGN: who computes a shard never shows).

    batch rows ─┬─ shard 0: gather → forward → backward ─┐
                ├─ shard 1:  …                           ├─ g = (g₀ + g₁) + (g₂ + g₃) → clip → update
                └─ …                                    ─┘
"""

from math import isfinite, sqrt

import numpy as np

from .. import rng
from ..data import gather
from ..errors import ConfigError

CHUNK = 65536  # parameters updated at a time: value, gradients and moments of one chunk stay in a core's L2 cache
NOISE_STEPS = 32  # steps whose noise is drawn in one call, which costs a quarter of drawing it step by step


def shard_bounds(rows, shards):
    """[(start, stop)] of at most `shards` parts of nearly equal size, none empty: a function of these two numbers alone."""
    shards = min(shards, rows)
    edges = [rows * i // shards for i in range(shards + 1)]
    return list(zip(edges, edges[1:], strict=False))


class TrainingStep:
    """Trains a model on batches, in place.   Use inside `with Workers(threads) as workers`."""

    def __init__(self, model, optimiser, images, workers, seed=0, shards=2, clip=None):
        """images (N, D) uint8 or float · clip: largest global norm of the gradient, or None (E38; Pascanu et al., 2013)"""
        if shards < 1:
            raise ConfigError(f"shards must be at least 1, not {shards}")
        if clip is not None and not clip > 0:
            raise ConfigError(f"clip must be a positive number, not {clip}")
        self.model, self.optimiser, self.images, self.workers = model, optimiser, images, workers
        self.seed, self.clip = seed, clip
        self.replicas = [model] + [model.replica() for _ in range(shards - 1)]
        self.values = model.buffer.values
        self.grads = [replica.buffer.grads for replica in self.replicas]
        self.chunks = [slice(i, min(i + CHUNK, self.values.size)) for i in range(0, self.values.size, CHUNK)]
        self._work = {chunk.start: np.empty(CHUNK, self.values.dtype) for chunk in self.chunks}
        self._noise, self._noise_from = None, None

    def __call__(self, rows, step, lr):
        """One update from the images of these rows (B,).   step counts from 0 → {term: sum over the batch}, nats

        The loss that is differentiated is the mean over the batch as it is, a short last one too. When a sum is not
        finite, nothing has been updated.
        """
        self.shards = shard_bounds(len(rows), len(self.replicas))
        self.rows, self.step, self.lr = rows, step, lr
        self.sums = [None] * len(self.shards)
        self._draw_noise(step, len(rows))
        self.workers.run(self._forward_backward, range(len(self.shards)))
        total = {term: _tree([s[term] for s in self.sums]) for term in self.model.terms}
        if all(map(isfinite, total.values())):
            self.factor = 1.0
            if self.clip is not None:
                self.squares = [0.0] * len(self.chunks)
                self.workers.run(self._square_norm, range(len(self.chunks)))
                norm = sqrt(sum(self.squares))
                self.factor = min(1.0, self.clip / norm) if norm else 1.0
            self.workers.run(self._update, range(len(self.chunks)))
        return total

    def _draw_noise(self, step, batch):
        """ε of this step, from a block of several steps; which block it is does not change its values."""
        if not self.model.noise_columns:
            return
        first = step - step % NOISE_STEPS
        if self._noise_from != first or self._noise.shape[1] < batch:
            steps = np.arange(first, min(first + NOISE_STEPS, 2**32))
            dtype = self.values.dtype.type
            self._noise = rng.normal(self.seed, rng.LATENT, steps, np.arange(batch), self.model.noise_columns, dtype)
            self._noise_from = first

    def _forward_backward(self, i):
        replica, (start, stop) = self.replicas[i], self.shards[i]
        x = replica.scratch("batch", stop - start, self.images.shape[1], self.values.dtype)
        gather(self.images, self.rows[start:stop], x)
        eps = self._noise[self.step - self._noise_from, start:stop] if self.model.noise_columns else None
        with np.errstate(all="ignore"):  # what is not finite shows in the sums, and is reported with its name
            terms = replica.forward(x, eps)
            self.sums[i] = {term: float(terms[term].sum()) for term in replica.terms}
            replica.backward(1 / len(self.rows))

    def _sum_shards(self, part):
        """The chunk of the batch's gradient, added up in the fixed tree into the first shard's."""
        grads = [g[part] for g in self.grads[: len(self.shards)]]
        gap = 1
        while gap < len(grads):
            for i in range(0, len(grads) - gap, 2 * gap):
                grads[i] += grads[i + gap]
            gap *= 2

    def _square_norm(self, i):
        part = self.chunks[i]
        self._sum_shards(part)
        self.squares[i] = float(np.vdot(self.grads[0][part], self.grads[0][part]))

    def _update(self, i):
        part = self.chunks[i]
        if self.clip is None:
            self._sum_shards(part)
        elif self.factor != 1:
            self.grads[0][part] *= self.factor
        work = self._work[part.start][: part.stop - part.start]
        with np.errstate(all="ignore"):
            self.optimiser.update(part, self.values, self.grads[0], work, self.lr, self.step + 1)


def _tree(numbers):
    """The sum of a list of numbers, in the same fixed tree as the gradients."""
    numbers = list(numbers)
    gap = 1
    while gap < len(numbers):
        for i in range(0, len(numbers) - gap, 2 * gap):
            numbers[i] += numbers[i + gap]
        gap *= 2
    return numbers[0]
