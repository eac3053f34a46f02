"""E34, E35, E50 to E52 and E58: derivatives by steps, their errors, and derivatives of expectations."""

import numpy as np

from ... import rng
from ...checks import central_differences, complex_step
from .. import gradients
from .check import all_hold, at_most, close, equal

X = np.array([0.3, -1.1, 2.0])


def _slopes(x):
    """d/dx e^sin x"""
    return np.cos(x) * np.exp(np.sin(x))


def E34_complex_step():
    theta = X.astype(complex)
    numeric = complex_step(lambda: np.exp(np.sin(theta)), theta, range(3))
    return equal("the derivative of e^sin x comes out as cos x · e^sin x, to the last digits", numeric, _slopes(X), 1e-15)


def E35_central_difference():
    theta = X.copy()
    numeric = central_differences(lambda: np.exp(np.sin(theta)), theta, range(3))[0]
    return equal("the derivative of e^sin x comes out as cos x · e^sin x, to ten digits", numeric, _slopes(X), 1e-9)


def _eps(place):
    return rng.normal(9, rng.CHECK, place, np.arange(50_000), 1, np.float64)[:, 0]


def E50_score_gradient():
    terms = gradients.score_gradient(lambda z: z**2, 0.7, 1.3, _eps(0))
    return close("for f(z) = z², where E f = μ² + σ², the mean of 50,000 terms is 2μ", terms, 1.4)


def E51_pathwise_gradient():
    terms = gradients.pathwise_gradient(lambda z: 2 * z, 0.7, 1.3, _eps(1))
    return close("for f(z) = z², where E f = μ² + σ², the mean of 50,000 terms is 2μ", terms, 1.4)


def E52_quadratic_variances():
    score, path = gradients.quadratic_variances(0.7, 1.3)
    a = gradients.score_gradient(lambda z: z**2, 0.7, 1.3, _eps(2))
    b = gradients.pathwise_gradient(lambda z: 2 * z, 0.7, 1.3, _eps(2))
    squares = np.stack([(a - 1.4) ** 2, (b - 1.4) ** 2], axis=1)
    return close("the squared deviations of 50,000 terms average to both formulas", squares, [score, path])


def E58_difference_error():
    """At large steps the error is h² f‴/6; over all steps the smallest lies near the predicted one."""
    f = third = float(np.exp(0.5))  # f = eˣ is its own third derivative

    def measured(h):
        theta = np.array([0.5])
        return abs(central_differences(lambda: np.exp(theta), theta, [0], h)[0][0] - f)

    large = equal("", measured(1e-2), gradients.difference_error(1e-2, f, third), 1e-3)
    steps = np.logspace(-9, -2, 200)
    errors = np.array([measured(h) for h in steps])
    smooth = np.exp(np.convolve(np.log(errors + 1e-18), np.ones(25) / 25, "valid"))  # rounding is noisy: a running mean
    found = steps[12:-12][smooth.argmin()]
    ratio = abs(np.log10(found / gradients.best_step(f, third)))
    claim = "at h = 0.01 the error is h² f‴/6; the best of 200 steps lies within a factor 5 of the predicted one"
    return all_hold(claim, large, at_most("", ratio, np.log10(5), "decades"))
