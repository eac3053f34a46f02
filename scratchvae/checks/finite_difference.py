"""Derivatives by differences: good to about ten digits, for functions that cannot take a complex argument."""

import numpy as np

from .. import gate
from ..errors import ConfigError

STEP = float(np.cbrt(np.finfo(np.float64).eps))  # 6e-6 balances rounding, ε/h, against the neglected h² f‴/6


def central_differences(f, theta, indices, h=STEP):
    """∂f/∂θᵢ ≈ (f(θ + h eᵢ) − f(θ − h eᵢ)) / 2h (E35), and the two one-sided differences it is the mean of.

    theta (N,) float64 · indices (K,) → central, left, right (K,). f() reads theta, which is changed in place, and
    returns an array whose sum is differentiated: subtracting term by term, before summing, keeps digits that a
    difference of two sums would lose. Steps grow with |θᵢ| where that exceeds 1. left and right differ by h f″ where f
    is smooth, and by the jump in slope where a kink lies within the step.
    """
    f, h = gate.function("f", f), gate.number("h", h, above=0)
    if not isinstance(theta, np.ndarray) or theta.ndim != 1 or theta.dtype.kind not in "f":
        raise ConfigError(f"theta must be an array (N,) of float64 numbers that f reads, not {gate.shown(theta)}")
    indices = gate.index("indices", indices, len(theta))
    left, right = np.empty(len(indices)), np.empty(len(indices))
    middle = gate.instance("what f returns", f(), (np.ndarray, np.generic), "an array")
    for k, i in enumerate(indices):
        kept = theta[i]
        step = h * max(1.0, abs(kept))
        theta[i] = kept + step
        right[k] = (f() - middle).sum() / (theta[i] - kept)  # the step that was really taken
        theta[i] = kept - step
        left[k] = (middle - f()).sum() / (kept - theta[i])
        theta[i] = kept
    return (left + right) / 2, left, right


def central_difference_along(f, theta, v, h=STEP):
    """Σᵢ vᵢ ∂f/∂θᵢ by one central difference along v (E35).   theta, v (N,) → a number"""
    kept = theta.copy()
    theta += h * v
    ahead = f()
    theta[:] = kept - h * v
    slope = (ahead - f()).sum() / (2 * h)
    theta[:] = kept
    return float(slope)
