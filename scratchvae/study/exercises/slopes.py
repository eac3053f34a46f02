"""The derivative of what the student's own forward computes, measured without looking at any formula."""

import numpy as np

from ...checks.complex_step import complex_step
from ...checks.finite_difference import central_differences
from .student import Wrong

_TRUST = 1e-4  # a difference is off by far less, and a step whose imaginary part was lost by far more


def measured_slope(terms, at):
    """∂ Σ terms(v) / ∂v at v = `at` → array of at's shape, and the method: "complex step" or "central difference"

    A forward that loses the imaginary part (abs, a float buffer) is measured by differences instead; the difference also
    tells which forwards those are.
    """
    where = np.arange(at.size)
    real = at.astype(np.float64).reshape(-1)
    slope = central_differences(lambda: np.asarray(terms(real.reshape(at.shape))), real, where)[0].reshape(at.shape)
    moved = at.astype(np.complex128).reshape(-1)
    try:
        step = complex_step(lambda: np.asarray(terms(moved.reshape(at.shape))), moved, where).reshape(at.shape)
    except (Wrong, TypeError, AttributeError):
        return slope, "central difference"
    if np.abs(step - slope).max() <= _TRUST * max(np.abs(slope).max(), 1e-300):
        return step, "complex step"
    return slope, "central difference"
