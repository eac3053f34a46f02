"""What a likelihood says about pixels: its units, the variance it asks for, and the mean it asks for."""

import numpy as np


def bits_per_dimension(nats, dimensions, scale=1.0):
    """(nats + D log(scale)) / (D log 2) (E53): a density of x in bits per dimension of scale · x.

    nats: −log p(x), summed over `dimensions` D. For probabilities of discrete pixels there is nothing to scale.
    """
    return (nats + dimensions * np.log(scale)) / (dimensions * np.log(2))


def best_variance(x, mean):
    """The σ² that makes −log N(x; m, σ²) smallest: the mean squared error (E54; Rybkin et al., 2021).   any shapes → a number"""
    return float(np.mean((x - mean) ** 2))


def best_mean(x, weights):
    """The m that makes Σ w (x − m)² smallest: the weighted mean (E55).   x (N, D), weights (N,) → (D,)

    With w = p(z|x) it is what a decoder learns to draw for a code z: the average of every image that the code might mean.
    """
    return weights @ x / weights.sum()
