"""Each gradient measured on forward alone, by complex steps, for any place in the model."""

import inspect
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from ... import rng
from ...checks.complex_step import complex_step, complex_step_along
from ...checks.measure import relative_error
from .record import Heard

ALL = 64  # a tensor of up to this many entries is measured entry by entry
DRAWN = 8  # entries measured of a larger one: half of them the largest, half drawn at random; and one random direction
# Of the step's largest gradient: a tensor of smaller ones would be 0 but for rounding, as of a bias before a BatchNorm.
ROUNDING = 1e-12
LARGE = 100_000  # numbers that forward computes: of a model with more, a quarter of all these


@dataclass
class Check:
    """What forward says about a gradient.   indices, numeric (K,): flat places in the gradient, and the measured values

    error: the largest difference at these places, relative to the largest gradient in the tensor, or in the step where
    that one is 0 but for rounding · along: (analytic,
    numeric, error) of the slope along one random direction through all entries, where not every entry was measured.
    """

    indices: np.ndarray
    numeric: np.ndarray
    error: float
    size: int
    along: tuple | None = None


class Numeric:
    """Measures derivatives of Σ_images dL · (objective). A twin of the model in complex128 is what runs."""

    def __init__(self, twin, inputs, dL, seed=0, cost=0, largest=0.0):
        """twin: a replica in complex128 · inputs: of forward, in float64 · dL (B,): what each image counts ·
        cost: numbers that forward computes · largest: gradient of a parameter in this step"""
        self.twin, self.dL, self.seed, self.drawn, self.largest = twin, dL, seed, 0, largest
        self.inputs = [array.astype(np.complex128) if array.dtype.kind == "f" else array for array in inputs]
        self.modules = dict(twin.modules())
        self.all, self.some = (ALL, DRAWN) if cost <= LARGE else (ALL // 16, DRAWN // 4)

    def of_parameter(self, name, gradient):
        """∂ objective / ∂ parameter, such as "encoder.0.W" → Check"""
        return self._check(self.twin.buffer.values[self.twin.buffer.slices[name]], gradient)

    def of_input(self, path, place, gradient):
        """∂ objective / ∂ what enters the module at this path, its input number `place` → Check"""
        bump = np.zeros(gradient.shape, np.complex128)
        with bumped_input(self.modules[path], place, bump):
            return self._check(bump.reshape(-1), gradient)

    def of_arguments(self, places, gradient):
        """∂ objective / ∂ arguments of operations, which move together → Check

        places: [(path, operation, its number, argument)]
        """
        bump = np.zeros(gradient.shape, np.complex128)
        with ExitStack() as stack:
            for path in dict.fromkeys(place[0] for place in places):
                stack.enter_context(
                    bumped_arguments(self.modules[path], [place[1:] for place in places if place[0] == path], bump)
                )
            return self._check(bump.reshape(-1), gradient)

    def _check(self, theta, gradient):
        flat = np.ravel(gradient)
        peak = float(np.abs(flat).max(initial=0))
        scale = peak if peak > ROUNDING * self.largest else self.largest
        indices, along = np.arange(flat.size), None
        if flat.size > self.all:
            self.drawn += 1
            order = rng.words(self.seed, rng.CHECK, self.drawn, 0, flat.size)[0]
            largest = np.argsort(-np.abs(flat), kind="stable")[: self.some // 2]
            others = [i for i in np.argsort(order, kind="stable")[: self.some] if i not in largest]
            indices = np.concatenate([largest, np.sort(others[: self.some // 2])])
            v = rng.normal(self.seed, rng.CHECK, self.drawn, 1, flat.size, np.float64)[0]
            slope = float(v @ flat), complex_step_along(self._objective, theta, v)
            along = *slope, float(relative_error(*slope, scale * np.linalg.norm(flat) / (peak or 1)))
        numeric = complex_step(self._objective, theta, indices)
        errors = relative_error(flat[indices], numeric, scale)
        return Check(indices, numeric, float(errors.max(initial=0)), flat.size, along)

    def _objective(self):
        """What each image adds to the objective.   → (B,)"""
        with np.errstate(all="ignore"):
            return self.dL * self.twin.objective.forward(*self.twin.forward(*self.inputs))


@contextmanager
def bumped_input(module, place, bump):
    """A bump is added to one input of the module, on the instance and for a while."""
    forward = module.forward

    def run(*inputs):
        inputs = list(inputs)
        inputs[place] = inputs[place] + bump.reshape(inputs[place].shape)
        return forward(*inputs)

    module.forward = run
    try:
        yield
    finally:
        del module.forward


@contextmanager
def bumped_arguments(module, places, bump):
    """A bump is added to what the module calls operations with.   places: [(operation, its number, argument)]"""
    backend, ops, seen = module.backend, module.ops, []
    own = "backend" in vars(module)

    def hear(name, function, positional, named):
        arguments = inspect.signature(function).bind(*positional, **named).arguments
        for operation, number, argument in places:
            if (operation, number) == (name, seen.count(name)):
                arguments[argument] = arguments[argument] + bump.reshape(arguments[argument].shape)
        seen.append(name)
        return function(**arguments)

    def counted(*inputs):
        seen.clear()  # the operations of one forward are numbered
        return forward(*inputs)

    forward = module.forward
    module.backend, module.forward = backend._replace(ops=Heard(ops, hear)), counted
    try:
        yield
    finally:
        del module.forward
        if own:
            module.backend = backend
        else:
            del module.backend
