"""The images that every peer trains on."""

import numpy as np

from scratchvae.data import load


def images(name):
    """uint8 (N, 784), C-contiguous: the training images of a data set that scratchvae.data.load knows."""
    found = np.ascontiguousarray(load(name).train.images)
    if found.dtype != np.uint8 or found.shape[1] != 784:
        raise SystemExit(f"--data {name}: the race needs uint8 images of 784 pixels, not {found.dtype} of {found.shape[1]}")
    return found
