"""Each gradient measured on forward alone, by complex steps, for any place in the model: a parameter or a value on its way."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ... import rng
from ...checks.complex_step import complex_step, complex_step_along
from ...checks.measure import relative_error

ALL = 64  # a tensor of up to this many entries is measured entry by entry
DRAWN = 8  # entries measured of a larger one: half of them the largest, half drawn at random; and one random direction


@dataclass
class Check:
    """What forward says about a gradient.   indices, numeric (K,): flat places in the gradient, and the measured values

    error: the largest difference at these places, relative to the largest gradient in the tensor · along: (analytic,
    numeric, error) of the slope along one random direction through all entries, where not every entry was measured ·
    of: what was differentiated.
    """

    indices: np.ndarray
    numeric: np.ndarray
    error: float
    size: int
    of: str
    along: tuple | None = None


class Numeric:
    """Measures derivatives of Σ_images dL · (objective) at one input. A twin of the model in complex128 is what runs."""

    def __init__(self, model, x, eps, dL, seed=0):
        """dL (B,): what each image counts"""
        self.twin, self.dL, self.seed = model.replica(np.complex128), dL, seed
        self.inputs = (x.astype(np.complex128),) if eps is None else (x.astype(np.complex128), eps.astype(np.complex128))
        self.modules = dict(self.twin.modules())
        self.drawn = 0

    def of_parameter(self, name, gradient):
        """∂ objective / ∂ parameter, such as "encoder.0.W" → Check"""
        return self._check(self.twin.buffer.values[self.twin.buffer.slices[name]], gradient, self.twin.terms)

    def of_input(self, path, gradient):
        """∂ objective / ∂ what enters the module at this path → Check"""
        bump = np.zeros(gradient.shape, np.complex128)
        with _replaced(self.modules[path], lambda forward: lambda y, *rest: forward(y + bump.reshape(y.shape), *rest)):
            return self._check(bump.reshape(-1), gradient, self.twin.terms)

    def of_output(self, path, gradient, columns, terms):
        """∂ (those terms of the objective) / ∂ (some columns of what leaves the module at this path) → Check"""
        bump = np.zeros(gradient.shape, np.complex128)

        def bumped(forward):
            def run(*inputs):
                y = forward(*inputs).copy()
                y[:, columns] += bump
                return y

            return run

        with _replaced(self.modules[path], bumped):
            return self._check(bump.reshape(-1), gradient, terms)

    def _check(self, theta, gradient, terms):
        flat = np.ravel(gradient)
        f = lambda: self._objective(terms)
        indices, along = np.arange(flat.size), None
        if flat.size > ALL:
            self.drawn += 1
            order = rng.words(self.seed, rng.CHECK, self.drawn, 0, flat.size)[0]
            largest = np.argsort(-np.abs(flat), kind="stable")[: DRAWN // 2]
            others = [i for i in np.argsort(order, kind="stable")[:DRAWN] if i not in largest]
            indices = np.concatenate([largest, np.sort(others[: DRAWN // 2])])
            v = rng.normal(self.seed, rng.CHECK, self.drawn, 1, flat.size, np.float64)[0]
            slope = float(v @ flat), complex_step_along(f, theta, v)
            along = *slope, float(relative_error(*slope, np.linalg.norm(flat)))
        numeric = complex_step(f, theta, indices)
        errors = relative_error(flat[indices], numeric, np.abs(flat).max())
        return Check(indices, numeric, float(errors.max()), flat.size, " + ".join(terms), along)

    def _objective(self, terms):
        """Contributions to the chosen terms of the objective.   → (M,)"""
        found = zip(self.twin.terms, self.twin.forward(*self.inputs), strict=True)
        return np.concatenate([self.dL * self.twin.weights[name] * term for name, term in found if name in terms])


@contextmanager
def _replaced(module, wrap):
    """The module with another forward, on the instance and for a while."""
    module.forward = wrap(module.forward)
    try:
        yield
    finally:
        del module.forward
