"""Derivatives as objects of study: of an expectation by two estimators, of a layer as a matrix, and the error of a difference."""

import numpy as np

from ..checks import complex_step

EPSILON = float(np.finfo(np.float64).eps)


def score_gradient(f, mu, sigma, eps):
    """Terms f(z) (z − μ) / σ², z = μ + σ ε, whose mean is d/dμ E[f(z)] (E50; Williams, 1992).   eps (K,) → (K,)"""
    z = mu + sigma * eps
    return f(z) * (z - mu) / sigma**2


def pathwise_gradient(f_prime, mu, sigma, eps):
    """Terms f′(z), z = μ + σ ε, whose mean is the same d/dμ E[f(z)] (E51; Kingma & Welling, 2014).   eps (K,) → (K,)"""
    return f_prime(mu + sigma * eps)


def quadratic_variances(mu, sigma):
    """Variances of one term of either estimator for f(z) = z² (E52) → score function, pathwise"""
    return mu**4 / sigma**2 + 14 * mu**2 + 15 * sigma**2, 4 * sigma**2


def jacobian(f, x):
    """J[j, i] = ∂y_j / ∂x_i of y = f(x), by complex steps.   x (I,) → (J, I)"""
    theta = np.asarray(x, complex).copy()
    outputs = f(theta).size
    return np.array([complex_step(lambda j=j: f(theta)[j : j + 1], theta, range(theta.size)) for j in range(outputs)])


def vector_jacobian(f, x, dy):
    """dx_i = Σ_j dy_j ∂y_j/∂x_i (E57): the chain rule, the long way: by the whole matrix.   x (I,), dy (J,) → (I,)"""
    return dy @ jacobian(f, x)


def difference_error(h, f, third, eps=EPSILON):
    """About how wrong a central difference of step h is at most: ε |f| / h + h² |f‴| / 6 (E58), f and f‴ at the point."""
    return eps * abs(f) / h + h**2 * abs(third) / 6


def best_step(f, third, eps=EPSILON):
    """The step with the smallest such error: (3 ε |f| / |f‴|)^⅓ (E58)"""
    return (3 * eps * abs(f) / abs(third)) ** (1 / 3)
