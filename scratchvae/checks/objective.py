"""The scalar function that a gradient check differentiates, and the gradient that the module's own backward writes."""

import copy
import traceback
import warnings
from math import prod

import numpy as np

from .. import rng
from ..errors import ConfigError
from ..nn import Module

# Steps of the CHECK stream, so that no two uses share a number.
INPUT, NOISE, WEIGHTS, CHOICE, DIRECTION = range(5)


class Objective:
    """Σ weights · outputs with fixed random weights, one for each number of each output: so every output has a gradient of its own.

    `tensors` are flat views of what it is a function of: every input of floats and every parameter that is trained. Change one in place
    and call terms() for the new value.
    """

    def __init__(self, module, inputs, seed, dtype, training=False):
        """inputs: what forward takes, of which whole numbers stay as they are. The module is left alone: a twin in `dtype` is what runs."""
        self.twin, self.seed, self.dtype = twin(module, dtype).train(training), seed, dtype
        self.inputs = [np.array(x, dtype if x.dtype.kind == "f" else None, order="C") for x in inputs]
        self.named = dict(zip(input_names(inputs), self.inputs, strict=True))
        buffer = self.twin.buffer
        self.tensors = {name: x.reshape(-1) for name, x in self.named.items() if x.dtype.kind in "fc"}
        trained = [name for name, p in self.twin.parameters() if p.trained]
        self.tensors.update((name, buffer.values[buffer.slices[name]]) for name in trained)
        self.weights = None

    def forward(self):
        """→ [every output]"""
        y = self.twin.forward(*self.inputs)
        return list(y) if isinstance(y, tuple) else [y]

    def terms(self):
        """Contributions to the objective, which is their sum.   → (M,)"""
        outputs = self.forward()
        if self.weights is None:
            self.weights = rng.normal(self.seed, rng.CHECK, WEIGHTS, 0, sum(np.size(y) for y in outputs), np.float64)[0]
        return self.weights * np.concatenate([np.ravel(y) for y in outputs])

    def output_gradients(self, outputs):
        """What backward is given: the weights, in each output's shape."""
        at, gradients = 0, []
        for y in outputs:
            gradients.append(self.weights[at : at + np.size(y)].reshape(np.shape(y)).astype(self.dtype))
            at += np.size(y)
        return gradients


def input_names(inputs):
    """ "input" of a module that takes one; of more, "input 1", "input 2" …"""
    return ["input"] if len(inputs) == 1 else [f"input {i + 1}" for i in range(len(inputs))]


def twin(module, dtype):
    """A copy of any module in another dtype: a replica, or, of a part or of a module with no values yet, a fresh one."""
    if module.buffer is not None:
        return module.replica(dtype)
    made = copy.deepcopy(module).initialise(0, dtype)
    for (_, new), (_, old) in zip(made.parameters(), module.parameters(), strict=True):
        if old.value is not None:
            new.value[...] = old.value
    return made


def complex_objective(module, inputs, seed, training=False):
    """The Objective in complex128. Raises ConfigError when the module cannot take a complex argument."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)  # "casting discards the imaginary part"
            objective = Objective(module, inputs, seed, np.complex128, training)
            objective.terms()
            outputs = objective.forward()
    except Exception as error:  # its forward ran in float64, so whatever went wrong here is about complex numbers
        raise not_complex(_culprit(error, module), f"{type(error).__name__}: {error}") from error
    if not all(np.iscomplexobj(y) for y in outputs) and objective.tensors:
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


def make_inputs(module, columns, rows, seed):
    """What forward takes, for a module that was given none: what its own `example(rows, seed)` says, or x (rows, columns) and, where it
    asks for them, eps (rows, noise columns).   → [array]

    Models get images in [0, 1] of their own width. Of others, the first layer that states its `inputs` decides, as images if its
    kernel says so; where nothing does, any width must do, and 5 is taken.
    """
    if hasattr(type(module), "example"):
        given = module.example(rows, seed)
        return [np.asarray(x) for x in (given if isinstance(given, (tuple, list)) else (given,))]
    is_model = hasattr(module, "data_size")
    stated = [(m.inputs, getattr(m, "size", None)) for _, m in module.modules() if isinstance(getattr(m, "inputs", None), int)]
    width, kernel = (columns, None) if columns else (module.data_size, None) if is_model else (stated or [(5, None)])[0]
    shape = (width,) if kernel is None else (kernel[0] + 2, kernel[1] + 1, width)
    draw = rng.uniform if is_model else rng.normal
    inputs = [draw(seed, rng.CHECK, INPUT, np.arange(rows), prod(shape), np.float64).reshape(rows, *shape)]
    noise = getattr(module, "noise_columns", 0)
    return inputs + ([rng.normal(seed, rng.CHECK, NOISE, np.arange(rows), noise, np.float64)] if noise else [])


def first_forward(module, objective, made_up):
    """Copies of forward's outputs in float64. Raises ConfigError when it fails on an input that was made up for it."""
    try:
        objective.terms()
        return copy.deepcopy(objective.forward())
    except Exception as error:
        if not made_up:
            raise
        shapes = ", ".join(str(x.shape) for x in objective.inputs)
        raise ConfigError(
            f"{type(module).__name__}.forward failed on made-up input of shape {shapes}: pass its inputs, or columns= ({error})"
        ) from error
