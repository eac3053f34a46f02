"""Initial values: init(shape, seed, index) → array (float64). `index` is the parameter's place in its model.

W (I, O) has fan-in I and fan-out O.
"""

import numpy as np

from .. import rng


def zeros(shape, seed, index):
    """All 0: the usual start of a bias."""
    return np.zeros(shape)


def constant(value):
    """An initialiser that fills with `value`."""
    return lambda shape, seed, index: np.full(shape, float(value))


def glorot(shape, seed, index):
    """U(−a, a) with a = √(6 / (I + O)) (E31; Glorot & Bengio, 2010): keeps variances through linear and tanh layers."""
    return _uniform(shape, seed, index, np.sqrt(6 / (shape[0] + shape[1])))


def he(shape, seed, index):
    """N(0, 2 / I) (E32; He et al., 2015): keeps the variance of activations through ReLU."""
    return _normal(shape, seed, index, np.sqrt(2 / shape[0]))


def lecun(shape, seed, index):
    """N(0, 1 / I) (E33; LeCun et al., 1998)"""
    return _normal(shape, seed, index, np.sqrt(1 / shape[0]))


def _uniform(shape, seed, index, limit):
    u = rng.uniform(seed, rng.INIT, index, np.arange(shape[0]), shape[1], np.float64)
    return limit * (2 * u - 1)


def _normal(shape, seed, index, std):
    return std * rng.normal(seed, rng.INIT, index, np.arange(shape[0]), shape[1], np.float64)


INITS = {"glorot": glorot, "he": he, "lecun": lecun}
