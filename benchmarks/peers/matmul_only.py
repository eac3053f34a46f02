"""The floor: NumPy's eleven matrix products of one step and nothing else, into buffers made beforehand."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import threadpoolctl

from . import common


class Shard:
    """The products of `rows` images: 4 forward, 4 dW, 3 dX (the first layer needs none)."""

    def __init__(self, weights, rows):
        rng = np.random.default_rng(0)
        self.W = weights
        self.X = [rng.random((rows, len(W)), np.float32) for W in weights]
        self.Y = [np.zeros((rows, W.shape[1]), np.float32) for W in weights]
        self.dW = [np.zeros_like(W) for W in weights]
        self.dX = [np.zeros_like(x) for x in self.X]

    def forward(self, layers=(0, 1, 2, 3)):
        for i in layers:
            np.matmul(self.X[i], self.W[i], out=self.Y[i])

    def decode(self):
        self.forward(layers=(2, 3))

    def step(self):
        """Y stands in for its own gradient: the values do not matter here, the shapes do."""
        self.forward()
        for i in (3, 2, 1, 0):
            np.matmul(self.X[i].T, self.Y[i], out=self.dW[i])
            if i:
                np.matmul(self.Y[i], self.W[i].T, out=self.dX[i])


class MatmulOnly:
    """sharded: one thread per shard of the batch with single-threaded BLAS, in place of multi-threaded BLAS."""

    def __init__(self, sharded=False):
        self.sharded = sharded
        self.versions = {"numpy": np.__version__}

    def setup(self, images, batch_size, hidden, latent, threads):
        self.n_images, self.batch_size = len(images), batch_size
        self.weights = [W for W, _ in common.initial_weights(hidden, latent)]
        self.workers = threads if self.sharded else 1
        self.limit = threadpoolctl.threadpool_limits(1 if self.sharded else threads)
        self.pool = ThreadPoolExecutor(self.workers)
        self.made = {}

    def shards(self, rows):
        """The shards of a batch of `rows` images, made when that size is first seen."""
        if rows not in self.made:
            sizes = [len(part) for part in np.array_split(np.arange(rows), self.workers)]
            self.made[rows] = [Shard(self.weights, size) for size in sizes if size]
        return self.made[rows]

    def each(self, function, rows):
        """function(shard) for all shards of a batch, side by side."""
        first, *rest = self.shards(rows)
        waiting = [self.pool.submit(function, shard) for shard in rest]
        function(first)
        for future in waiting:
            future.result()

    def run_steps(self, n):
        for _ in range(n):
            self.each(Shard.step, self.batch_size)

    def epoch(self):
        for start, stop in common.pieces(self.n_images, self.batch_size):
            self.each(Shard.step, stop - start)

    def evaluate(self, batch_size):
        for start, stop in common.pieces(common.EVALUATED, batch_size):
            self.each(Shard.forward, stop - start)

    def sample(self, n, batch_size):
        for start, stop in common.pieces(n, batch_size):
            self.each(Shard.decode, stop - start)
