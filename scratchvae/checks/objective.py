"""The scalar function that a gradient check differentiates, and the gradient that the module's own backward writes."""

import copy
import traceback
import warnings

import numpy as np

from .. import rng
from ..errors import ConfigError
from ..nn import Module

# Steps of the CHECK stream, so that no two uses share a number.
INPUT, NOISE, WEIGHTS, CHOICE, DIRECTION = range(5)
SCALE = 0.7  # of a model's objective: not 1, so that a backward that forgets it is seen


class Objective:
    """Σ weights · forward(x) with fixed random weights; for a model, whose forward returns a dict of terms and whose
    backward takes a scale: scale · Σ_k weights[k] · Σ terms[k].

    `tensors` are flat views of what it is a function of: the input and every parameter. Change one in place and call
    terms() for the new value.
    """

    def __init__(self, module, x, eps, seed, dtype):
        """x (B, I) · eps (B, L) or None. The module is left alone: a twin in `dtype` is what runs."""
        self.twin, self.seed, self.dtype = twin(module, dtype), seed, dtype
        self.x = np.array(x, dtype, order="C")
        self.inputs = (self.x,) if eps is None else (self.x, np.array(eps, dtype))
        buffer = self.twin.buffer
        self.tensors = {"input": self.x.reshape(-1)}
        self.tensors.update((name, buffer.values[part]) for name, part in buffer.slices.items())
        self.weights = None

    def forward(self):
        return self.twin.forward(*self.inputs)

    def terms(self):
        """Contributions to the objective, which is their sum.   → (M,)"""
        y = self.forward()
        if isinstance(y, dict):
            return np.concatenate([SCALE * self.twin.weights[k] * np.ravel(term) for k, term in y.items()])
        if self.weights is None:
            self.weights = rng.normal(self.seed, rng.CHECK, WEIGHTS, 0, y.size, np.float64)[0]
        return self.weights * np.ravel(y)

    def output_gradient(self, y):
        """What backward is given: the scale of a model, else the weights in y's shape."""
        return SCALE if isinstance(y, dict) else self.weights.reshape(y.shape).astype(self.dtype)


def twin(module, dtype):
    """A copy of any module in another dtype: a replica, or, of a part or of a module with no values yet, a fresh one."""
    if module.buffer is not None:
        return module.replica(dtype)
    made = copy.deepcopy(module).initialise(0, dtype)
    for (_, new), (_, old) in zip(made.parameters(), module.parameters(), strict=True):
        if old.value is not None:
            new.value[...] = old.value
    return made


def complex_objective(module, x, eps, seed):
    """The Objective in complex128. Raises ConfigError when the module cannot take a complex argument."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)  # "casting discards the imaginary part"
            objective = Objective(module, x, eps, seed, np.complex128)
            objective.terms()
            y = objective.forward()
    except Exception as error:  # its forward ran in float64, so whatever went wrong here is about complex numbers
        raise not_complex(_culprit(error, module), f"{type(error).__name__}: {error}") from error
    outputs = y.values() if isinstance(y, dict) else [y]
    if not all(np.iscomplexobj(part) for part in outputs):
        raise not_complex(module, "forward returned real numbers for a complex input")
    return objective


def not_complex(module, reason):
    """The ConfigError that says so and what to do instead."""
    return ConfigError(
        f"{type(module).__name__} cannot be checked by complex steps ({reason}). Use method=\"difference\", or keep the dtype "
        "of the input and decide on its real part, instead of using abs, maximum, comparisons or float buffers"
    )


def _culprit(error, module):
    """The innermost module whose code was running when the error was raised."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        running = frame.f_locals.get("self")
        if isinstance(running, Module):
            module = running
    return module


def make_input(module, columns, rows, seed):
    """x and eps for a module that was given none.   → (rows, columns), (rows, noise columns) or None

    Models get images in [0, 1] of their own width. Of others, the first layer that states its `inputs` decides; where
    nothing does, any width must do, and 5 is taken.
    """
    is_model = hasattr(module, "data_size")
    stated = [m.inputs for _, m in module.modules() if isinstance(getattr(m, "inputs", None), int)]
    width = columns or (module.data_size if is_model else (stated or [5])[0])
    draw = rng.uniform if is_model else rng.normal
    return draw(seed, rng.CHECK, INPUT, np.arange(rows), width, np.float64)


def make_noise(module, rows, seed):
    """eps (rows, noise_columns) for a model that asks for it, else None."""
    columns = getattr(module, "noise_columns", 0)
    return rng.normal(seed, rng.CHECK, NOISE, np.arange(rows), columns, np.float64) if columns else None


def first_forward(module, objective, made_up):
    """A copy of forward's output in float64. Raises ConfigError when it fails on an input that was made up for it."""
    try:
        objective.terms()
        return copy.deepcopy(objective.forward())
    except Exception as error:
        if not made_up:
            raise
        raise ConfigError(
            f"{type(module).__name__}.forward failed on a made-up x of shape {objective.x.shape}: pass x= or columns= ({error})"
        ) from error
