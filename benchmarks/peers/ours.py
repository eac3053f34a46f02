"""scratchvae itself, through the classes that `scratchvae train` uses: nothing here is faster than what a user gets."""

import numpy as np

from scratchvae import __version__, rng
from scratchvae.evaluate import image_terms
from scratchvae.models import VAE
from scratchvae.training import Optimiser, TrainingStep
from scratchvae.workers import Threads

from . import common


class Ours:
    """One shard per thread. Evaluation and sampling have batch sizes of their own and ignore the one asked for."""

    def __init__(self):
        self.versions = {"scratchvae": __version__, "numpy": np.__version__}

    def setup(self, images, batch_size, hidden, latent, threads):
        self.images, self.batch_size, self.threads = images, batch_size, threads
        self.evaluated = images[common.evaluation_rows(len(images))]
        self.rows = common.batches(len(images), batch_size)
        self.model = VAE(common.PIXELS, hidden=(hidden,), latent=latent)
        buffer = self.model.buffer
        flat = [array for layer in common.initial_weights(hidden, latent) for array in layer]  # W, b, W, b, ...
        for name, array in zip(buffer.names, flat, strict=True):
            buffer.view(name)[...] = array
        optimiser = Optimiser("adam", beta1=common.BETA1, beta2=common.BETA2, eps=common.ADAM_EPSILON)
        optimiser.start(buffer.values)
        self.updates = 0
        self.do = TrainingStep(self.model, optimiser, images, batch_size, threads=threads, shards=threads)
        self.training = False

    def train(self, wanted):
        """Open or close the training step: closed, NumPy has its multi-threaded BLAS back, as it has for a user."""
        if wanted and not self.training:
            self.do.__enter__()
        if self.training and not wanted:
            self.do.__exit__(None, None, None)
        self.training = wanted

    def step(self, rows):
        """→ the sum of the loss over the batch, nats"""
        sums = self.do(rows, self.updates, common.LEARNING_RATE)
        self.updates += 1
        return sums["reconstruction"] + sums["kl"]

    def run_steps(self, n):
        self.train(True)
        for _ in range(n):
            total = self.step(next(self.rows))
        return total / self.batch_size

    def epoch(self):
        self.train(True)
        order = rng.permutation(0, self.updates, len(self.images))
        total = sum(self.step(order[start:stop]) for start, stop in common.pieces(len(order), self.batch_size))
        return total / len(order)

    def evaluate(self, batch_size):
        self.train(False)
        with Threads(self.threads) as workers:
            terms = image_terms(self.model, self.evaluated, workers)
        return float((terms["reconstruction"] + terms["kl"]).mean())

    def sample(self, n, batch_size):
        self.train(False)
        return self.model.sample(n)
