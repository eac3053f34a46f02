"""CuPy without our kernels: its own matrix products and elementwise operations, written as one would in NumPy."""

import os
import time

import numpy as np

from . import gpu

VARIANTS = {"plain": "CuPy as it comes: cuBLAS and its elementwise kernels"}


def library():
    """CuPy, or NumPy for a dry run on a machine without a GPU."""
    try:
        import cupy

        cupy.zeros(1)
        return cupy
    except (ImportError, RuntimeError):
        return np


class Peer:
    def __init__(self, images, hidden, latent, batch, tf32, variant):
        os.environ["CUPY_TF32"] = str(int(tf32))  # read at the first product
        self.xp = xp = library()
        self.versions, self.on_gpu = {xp.__name__: xp.__version__}, xp is not np
        self.images, self.orders = xp.asarray(images), xp.asarray(gpu.orders(len(images), batch))
        self.split, self.latent, self.t = gpu.sizes(images.shape[1], hidden, latent)[1], latent, 0
        self.layers = [[xp.asarray(W), xp.asarray(b)] for W, b in gpu.weights(images.shape[1], hidden, latent)]
        self.m, self.v = ([[xp.zeros_like(p) for p in layer] for layer in self.layers] for _ in range(2))
        self.draw = xp.random.default_rng(0)

    def step(self):
        xp, n, L = self.xp, len(self.layers), self.latent
        x = self.images[self.orders[self.t % len(self.orders)]].astype(xp.float32) / xp.float32(255)
        inputs, y = [], x
        for i, (W, b) in enumerate(self.layers):
            if i == self.split:
                mu, logvar, std = y[:, :L], y[:, L:], xp.exp(y[:, L:] / 2)
                eps = self.draw.standard_normal(mu.shape, dtype=xp.float32)
                y = mu + std * eps
            inputs.append(y)
            y = y @ W + b
            y = xp.maximum(y, 0) if i not in (self.split - 1, n - 1) else y
        nll = xp.sum(xp.maximum(y, 0) + xp.log1p(xp.exp(-xp.abs(y))) - x * y)
        self.last = (nll + xp.sum(mu * mu + xp.exp(logvar) - logvar - 1) / 2) / len(x)
        dY = (1 / (1 + xp.exp(-y)) - x) / len(x)
        gradients = []
        for i in reversed(range(n)):
            gradients.append([inputs[i].T @ dY, dY.sum(axis=0)])
            if i == 0:
                break
            dY = dY @ self.layers[i][0].T
            if i == self.split:
                dlogvar = dY * eps * std / 2 + (xp.exp(logvar) - 1) / (2 * len(x))
                dY = xp.concatenate([dY + mu / len(x), dlogvar], axis=1)
            else:
                dY = dY * (inputs[i] > 0)
        self.t += 1
        rate, scale = 1e-3 / (1 - 0.9**self.t), 1 - 0.999**self.t
        for layer, m, v, gradient in zip(self.layers, self.m, self.v, reversed(gradients), strict=True):
            for j in range(2):
                m[j] = 0.9 * m[j] + 0.1 * gradient[j]
                v[j] = 0.999 * v[j] + 0.001 * gradient[j] * gradient[j]
                layer[j] = layer[j] - rate * m[j] / (xp.sqrt(v[j] / scale) + 1e-8)

    def run(self, n):
        for _ in range(n):
            self.step()

    def wait(self):
        return float(self.last)

    def timed(self, n):
        if self.xp is np:
            began = time.perf_counter()
            self.run(n)
            return (time.perf_counter() - began) * 1000
        start, stop = self.xp.cuda.Event(), self.xp.cuda.Event()
        start.record()
        self.run(n)
        stop.record()
        stop.synchronize()
        return self.xp.cuda.get_elapsed_time(start, stop)
