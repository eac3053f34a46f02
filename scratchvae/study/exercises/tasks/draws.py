"""Numbers for the cases, the same in every run."""

import numpy as np

from .... import rng


def draw(number, *shape):
    """Normal numbers, never nearer to 0 than 0.1, so that no case stands on a kink.   → float64 of that shape"""
    a = rng.normal(number, rng.CHECK, 0, 0, int(np.prod(shape)), np.float64)[0].reshape(shape)
    return a + np.where(a < 0, -0.1, 0.1)


def draw_uniform(number, *shape):
    """Pixels in [0, 1).   → float64 of that shape"""
    return rng.uniform(number, rng.CHECK, 0, 0, int(np.prod(shape)), np.float64)[0].reshape(shape)


BATCHES = [(1, 1), (1, 3), (3, 1), (3, 5), (5, 7)]  # (rows, columns): every smallest case, and sizes that are told apart by eye


def sized(names, shapes, make):
    """[(sizes, arguments)] for the Spec of an exercise: make(*shape) gives the arguments."""
    return [(dict(zip(names, shape, strict=True)), make(*shape)) for shape in shapes]
