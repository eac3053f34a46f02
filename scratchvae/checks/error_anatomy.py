"""Where a difference's error comes from: its size against the step, for one function at one place.

Two errors add up. Cutting the Taylor series off leaves about h f″/2 (forward) or h² f‴/6 (central); subtracting two
rounded numbers leaves about ε f/h. The first falls with h and the second rises, so the best a forward difference can do
is about √ε, near h = √ε, and a central one ε^⅔, near h = ∛ε. A complex step (E34) subtracts nothing and has the first
error alone.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from .. import gate
from ..errors import ConfigError
from .complex_step import STEP, complex_step_along

STEPS = np.logspace(0, -20, 81)
DTYPES = {"float32": (np.float32, np.complex64), "float64": (np.float64, np.complex128)}
METHODS = ("forward", "central", "complex step")


@dataclass
class ErrorAnatomy:
    """Relative errors of one derivative, by method, precision and step. NaN where a method left the finite numbers."""

    slope: float  # what the errors are measured against
    steps: np.ndarray  # (K,)
    curves: dict  # {(method, dtype's name): errors (K,)}; relative to the slope, or absolute where the slope is 0

    def best(self, method, dtype="float64"):
        """The smallest error of a curve, and the largest step that reaches it.   → (step, error)"""
        errors = self.curves[method, dtype]
        if np.isnan(errors).all():
            return float("nan"), float("nan")
        least = np.nanmin(errors)
        return float(self.steps[errors == least].max()), float(least)

    def to_dict(self):
        curves = [
            {"method": m, "dtype": d, "errors": [float(e) if np.isfinite(e) else None for e in errors]}
            for (m, d), errors in self.curves.items()
        ]
        return {"slope": self.slope, "steps": self.steps.tolist(), "curves": curves}

    def __str__(self):
        lines = [f"slope {self.slope:.6g}; the least relative error of each method, and its step"]
        for method, dtype in self.curves:
            step, error = self.best(method, dtype)
            lines.append(f"{method:12}  {dtype}  {error:.1e} at h = {step:.1e}")
        return "\n".join(lines)


def error_anatomy(f, x, v=None, slope=None, steps=STEPS):
    """Errors of forward, central (E35, E58) and complex-step (E34) derivatives of f at x, in float32 and float64
    → ErrorAnatomy

    f(x) → a number, in the dtype of x, for real and complex x of x's shape · x, v: a number or an array; the derivative
    is along v, default 1 everywhere; both are first rounded to float32, so that both precisions look at one place ·
    slope: the true derivative; None measures it by a complex step of 1e-40 in float64, right to rounding. Raises
    ConfigError for an f that does not keep the dtype it is given, for complex numbers that come back real, and for
    steps that are not above 0.
    """
    gate.function("f", f)
    steps = gate.array(steps, "steps").astype(np.float64)
    if steps.ndim != 1 or steps.size == 0 or not (np.isfinite(steps) & (steps > 0)).all():
        raise ConfigError("steps must be a list of finite numbers above 0")
    x = gate.array(x, "x").astype(np.float32)
    v = np.ones_like(x) if v is None else gate.array(v, "v").astype(np.float32)
    slope = None if slope is None else gate.number("slope", slope)
    if v.shape != x.shape:
        raise ConfigError(f"v must have the shape of x, {x.shape}, not {v.shape}")
    curves = {}
    # steps are taken far beyond sense: that is what is shown
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)  # "casting discards the imaginary part"
        along = _along(f, x, v, np.complex128)
        if slope is None:
            slope = complex_step_along(lambda: along(t[0]), t := np.zeros(1, np.complex128), np.ones(1), STEP)
        for dtype, (real, imaginary) in DTYPES.items():
            g, c = _along(f, x, v, real), _along(f, x, v, imaginary)
            middle, h = g(0), steps.astype(real)
            ahead, behind = (np.array([g(s) for s in side]) for side in (h, -h))
            found = (ahead - middle) / h, (ahead - behind) / (2 * h), np.array([c(1j * s).imag / s for s in h])
            for method, derivative in zip(METHODS, found, strict=True):
                errors = np.abs(derivative.astype(np.float64) - slope) / (abs(slope) or 1.0)
                curves[method, dtype] = np.where(np.isfinite(errors), errors, np.nan)
    return ErrorAnatomy(float(slope), steps, curves)


def _along(f, x, v, dtype):
    """t → f(x + t v) in dtype. Raises ConfigError when f does not answer in kind."""
    x, v = x.astype(dtype), v.astype(dtype)

    def g(t):
        try:
            y = np.asarray(f(x + dtype(t) * v))
        except (TypeError, np.exceptions.ComplexWarning) as error:  # math.sin and the like
            raise ConfigError(
                f"f does not take {np.dtype(dtype)} numbers ({error}): use NumPy's functions in it"
            ) from error
        if y.dtype != dtype:
            raise ConfigError(
                f"f returned {y.dtype} for {np.dtype(dtype)}: it must keep the dtype of its argument, and for complex "
                "numbers decide on the real part instead of using abs or comparisons"
            )
        if y.size != 1:
            raise ConfigError(f"f must return a number, not an array of shape {y.shape}")
        return y.reshape(())[()]

    return g
