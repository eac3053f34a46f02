"""scratchvae itself, through the classes that `scratchvae train` uses: nothing here is faster than what a user gets."""

import numpy as np

from scratchvae import __version__, rng
from scratchvae.evaluate import image_terms
from scratchvae.models import VAE
from scratchvae.training import Optimiser, TrainingStep
from scratchvae.workers import Workers

from . import common


class Ours:
    """One shard per thread. Evaluation and sampling have batch sizes of their own and ignore the one asked for."""

    def __init__(self):
        self.versions = {"scratchvae": __version__, "numpy": np.__version__}

    def setup(self, images, batch_size, hidden, latent, threads):
        self.images, self.batch_size, self.threads = images, batch_size, threads
        self.rows = common.batches(len(images), batch_size)
        self.model = VAE(common.PIXELS, hidden=(hidden,), latent=latent)
        buffer = self.model.buffer
        flat = [array for layer in common.initial_weights(hidden, latent) for array in layer]  # W, b, W, b, ...
        for name, array in zip(buffer.names, flat, strict=True):
            buffer.view(name)[...] = array
        self.optimiser = Optimiser("adam", beta1=common.BETA1, beta2=common.BETA2, eps=common.ADAM_EPSILON)
        self.optimiser.start(buffer.values)
        self.at = 0  # updates done
        self.workers = Workers(threads)
        self.do, self.entered = TrainingStep(self.model, self.optimiser, images, self.workers, shards=threads), False

    def in_workers(self, entered):
        """Training and evaluation run in worker threads; sampling runs on multi-threaded BLAS, as it does for a user."""
        if entered and not self.entered:
            self.workers.__enter__()
        if self.entered and not entered:
            self.workers.__exit__(None, None, None)
        self.entered = entered

    def step(self, rows):
        """→ the sum of the loss over the batch, nats"""
        sums = self.do(rows, self.at, common.LEARNING_RATE)
        self.at += 1
        return sums["reconstruction"] + sums["kl"]

    def run_steps(self, n):
        self.in_workers(True)
        for _ in range(n):
            total = self.step(next(self.rows))
        return total / self.batch_size

    def epoch(self):
        self.in_workers(True)
        order = rng.permutation(0, self.at, len(self.images))
        total = sum(self.step(order[start:stop]) for start, stop in common.pieces(len(order), self.batch_size))
        return total / len(order)

    def evaluate(self, batch_size):
        self.in_workers(True)
        terms = image_terms(self.model, self.evaluated(), self.workers, seed=0)
        return float((terms["reconstruction"] + terms["kl"]).mean())

    def evaluated(self):
        """The images of one evaluation, made once."""
        if not hasattr(self, "_evaluated"):
            self._evaluated = self.images[common.evaluation_rows(len(self.images))]
        return self._evaluated

    def sample(self, n, batch_size):
        self.in_workers(False)
        return self.model.sample(n, seed=0)
