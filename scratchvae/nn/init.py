"""Initial values: init(shape, seed, index) → array (float64). `index` is the parameter's place in its model.

Of W (…, I, O), as of W (I, O), the last axis counts the outputs: the fan-in is how many terms one output
sums up, the fan-out in how many outputs one input counts. A layer where these are others says so with `fans`.
"""

from math import prod

import numpy as np

from .. import rng


def zeros(shape, seed, index):
    """All 0: the usual start of a bias."""
    return np.zeros(shape)


def constant(value):
    """An initialiser that fills with `value`."""
    return lambda shape, seed, index: np.full(shape, float(value))


def fans_of(shape):
    """(fan-in, fan-out): of W (I, O) these two, and of a kernel (kh, kw, I, O) kh · kw times as many."""
    return prod(shape[:-1]), prod(shape[:-2]) * shape[-1]


def glorot(shape, seed, index, fans=None):
    """U(−a, a) with a = √(6 / (I + O)) (E31; Glorot & Bengio, 2010): keeps variances through linear and tanh layers."""
    return _uniform(shape, seed, index, np.sqrt(6 / sum(fans or fans_of(shape))))


def he(shape, seed, index, fans=None):
    """N(0, 2 / I) (E32; He et al., 2015): keeps the variance of activations through ReLU."""
    return _normal(shape, seed, index, np.sqrt(2 / (fans or fans_of(shape))[0]))


def lecun(shape, seed, index, fans=None):
    """N(0, 1 / I) (E33; LeCun et al., 1998)"""
    return _normal(shape, seed, index, np.sqrt(1 / (fans or fans_of(shape))[0]))


def _uniform(shape, seed, index, limit):
    u = rng.uniform(seed, rng.INIT, index, np.arange(prod(shape[:-1])), shape[-1], np.float64)
    return limit * (2 * u - 1).reshape(shape)


def _normal(shape, seed, index, std):
    return std * rng.normal(seed, rng.INIT, index, np.arange(prod(shape[:-1])), shape[-1], np.float64).reshape(shape)


INITS = {"glorot": glorot, "he": he, "lecun": lecun}
