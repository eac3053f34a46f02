"""Derivatives by a step along the imaginary axis: no subtraction, so no digits are lost (Squire & Trapp, 1998)."""

import numpy as np

from .. import gate
from ..errors import ConfigError

STEP = 1e-40  # any step so small that its square vanishes beside 1 gives the same digits


def complex_step(f, theta, indices, h=STEP):
    """∂f/∂θᵢ = Im f(θ + i h eᵢ) / h + O(h²) (E34).   theta (N,) complex · indices (K,) → (K,) float64

    f() reads theta, which is changed in place, and returns an array whose sum is differentiated. A real step subtracts
    two nearly equal numbers; here the derivative alone stands in the imaginary part, so it is good to rounding error.
    """
    f, h = gate.function("f", f), gate.number("h", h, above=0)
    if not isinstance(theta, np.ndarray) or theta.ndim != 1 or theta.dtype.kind not in "c":
        raise ConfigError(f"theta must be an array (N,) of complex numbers that f reads, not {gate.shown(theta)}")
    indices = gate.index("indices", indices, len(theta))
    slopes = np.empty(len(indices))
    for k, i in enumerate(indices):
        kept = theta[i]
        theta[i] = kept + 1j * h
        slopes[k] = gate.instance("what f returns", f(), (np.ndarray, np.generic), "an array").imag.sum() / h
        theta[i] = kept
    return slopes


def complex_step_along(f, theta, v, h=STEP):
    """Σᵢ vᵢ ∂f/∂θᵢ = Im f(θ + i h v) / h (E34): every entry at once, in one evaluation.   theta, v (N,) → a number"""
    kept = theta.copy()
    theta += 1j * h * v
    slope = f().imag.sum() / h
    theta[:] = kept
    return float(slope)
