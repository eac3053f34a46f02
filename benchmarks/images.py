"""The images that every peer trains on."""

import numpy as np


def images(name):
    """uint8 (N, 784), C-contiguous, of a data set that scratchvae.data.load knows."""
    try:
        from scratchvae.data import load
    except ImportError:  # TODO: remove when scratchvae.data.load exists
        return synthetic()
    return np.ascontiguousarray(load(name).train.images)


def synthetic(n=5000, seed=0):
    """Blobs with the sparsity of MNIST (about a fifth of the pixels is not black) → uint8 (n, 784)"""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28]
    out = np.empty((n, 784), np.uint8)
    for i in range(n):
        cy, cx = rng.uniform(9, 19, 2)
        sy, sx = rng.uniform(2, 5, 2)
        blob = 1.6 * np.exp(-(((y - cy) / sy) ** 2) - ((x - cx) / sx) ** 2) * rng.uniform(0.6, 1, (28, 28))
        out[i] = (255 * np.where(blob < 0.15, 0, np.minimum(blob, 1))).astype(np.uint8).ravel()
    return out
