"""Derivatives by a step along the imaginary axis: no subtraction, so no digits are lost (Squire & Trapp, 1998)."""

import numpy as np

STEP = 1e-40  # any step so small that its square vanishes beside 1 gives the same digits


def complex_step(f, theta, indices, h=STEP):
    """∂f/∂θᵢ = Im f(θ + i h eᵢ) / h + O(h²) (E34).   theta (N,) complex · indices (K,) → (K,) float64

    f() reads theta, which is changed in place, and returns an array whose sum is differentiated. A real step subtracts
    two nearly equal numbers; here the derivative alone stands in the imaginary part, so it is good to rounding error.
    """
    slopes = np.empty(len(indices))
    for k, i in enumerate(indices):
        kept = theta[i]
        theta[i] = kept + 1j * h
        slopes[k] = f().imag.sum() / h
        theta[i] = kept
    return slopes


def complex_step_along(f, theta, v, h=STEP):
    """Σᵢ vᵢ ∂f/∂θᵢ = Im f(θ + i h v) / h (E34): every entry at once, in one evaluation.   theta, v (N,) → a number"""
    kept = theta.copy()
    theta += 1j * h * v
    slope = f().imag.sum() / h
    theta[:] = kept
    return float(slope)
