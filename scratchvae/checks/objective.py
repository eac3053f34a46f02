"""The scalar function that a gradient check differentiates, and the gradient that the module's own backward writes."""

import copy
import traceback
import warnings
from math import prod

import numpy as np

from .. import gate, rng
from ..errors import ConfigError
from ..nn import Module

# Steps of the CHECK stream, so that no two uses share a number.
INPUT, NOISE, WEIGHTS, CHOICE, DIRECTION = range(5)


class Objective:
    """Σ weights · forward(inputs) over all numbers of all outputs, with fixed random weights.

    `tensors` are flat views of what it is a function of: every input of floats and every trained Parameter. Change one
    in place and call terms() for the new value.
    """

    def __init__(self, module, inputs, seed, dtype, training=None):
        """inputs: arrays of any shapes, of which those of floats become `dtype` · training: a mode, or None for the
        module's own. The module is left alone: a twin in `dtype` is what runs."""
        self.twin, self.seed, self.dtype, self.training = twin(module, dtype), seed, dtype, training
        if training is not None:
            self.twin.train(training)
        self.inputs = tuple(np.array(x, dtype if x.dtype.kind == "f" else x.dtype, order="C") for x in inputs)
        self.names = numbered("input", len(inputs))
        floats = {name: x for name, x in zip(self.names, self.inputs, strict=True) if x.dtype.kind in "fc"}
        trained = [name for name, p in self.twin.parameters() if p.trained]
        buffer = self.twin.buffer
        self.shapes = {name: x.shape for name, x in floats.items()} | {name: buffer.shapes[name] for name in trained}
        self.tensors = {name: x.reshape(-1) for name, x in floats.items()}
        self.tensors.update((name, buffer.values[buffer.slices[name]]) for name in trained)
        self.weights = None

    def forward(self):
        """The outputs, a tuple of arrays. Raises ConfigError for what are none."""
        outputs = self.twin.forward(*self.inputs)
        if isinstance(outputs, list) or not all(hasattr(y, "dtype") for y in several(outputs)):
            raise ConfigError(
                f"forward returns an array, or a tuple of them, not {gate.shown(outputs)}: is a return missing?"
            )
        return several(outputs)

    def terms(self):
        """Contributions to the objective, which is their sum.   → (M,)"""
        outputs = [np.asarray(y) for y in self.forward()]
        if self.weights is None:
            self.outputs = [y.shape for y in outputs]
            self.weights = np.concatenate(
                [rng.normal(self.seed, rng.CHECK, WEIGHTS, i, y.size, np.float64)[0] for i, y in enumerate(outputs)]
            )
        return self.weights * np.concatenate([y.reshape(-1) for y in outputs])

    def output_gradients(self):
        """What backward is given: the weights, in the outputs' shapes."""
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in self.outputs])[:-1]
        return [
            w.reshape(shape).astype(self.dtype)
            for w, shape in zip(np.split(self.weights, ends), self.outputs, strict=True)
        ]


def several(given):
    """What forward or backward returned, as a tuple."""
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def numbered(name, count, alone=None):
    """["input"] for one, or what that is called alone; else ["input 1", "input 2", …]"""
    return [alone or name] if count == 1 else [f"{name} {i + 1}" for i in range(count)]


def is_asked(module, place, count):
    """Whether backward is to return a gradient of this input, of so many: not where `input_gradient`, one answer or one
    for each input, is False. A model need return none, nor need a module of one input that begins with a layer which
    says so."""
    said = getattr(module, "input_gradient", None)
    if isinstance(said, (tuple, list)):
        return bool(said[place])
    if said is not None:
        return bool(said)
    return not hasattr(module, "terms") and not (
        count == 1 and any(getattr(part, "input_gradient", True) is False for _, part in module.modules())
    )


def twin(module, dtype):
    """A copy of any module in another dtype: a replica, or, of a part or of a module with no values yet, a fresh
    one."""
    if module.buffer is not None:
        return module.replica(dtype)
    made = copy.deepcopy(module).initialise(0, dtype)
    for (_, new), (_, old) in zip(made.parameters(), module.parameters(), strict=True):
        if old.value is not None:
            new.value[...] = old.value
    return made


def complex_objective(module, inputs, seed, training=None):
    """The Objective in complex128. Raises ConfigError when the module cannot take a complex argument."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)  # "casting discards the imaginary part"
            objective = Objective(module, inputs, seed, np.complex128, training)
            objective.terms()
            outputs = objective.forward()
    except Exception as error:  # its forward ran in float64, so whatever went wrong here is about complex numbers
        raise not_complex(_culprit(error, module), f"{type(error).__name__}: {error}") from error
    if not all(np.iscomplexobj(part) for part in outputs):
        raise not_complex(module, "forward returned real numbers for a complex input")
    return objective


def not_complex(module, reason):
    """The ConfigError that says so and what to do instead."""
    return ConfigError(
        f'{type(module).__name__} cannot be checked by complex steps ({reason}). Use method="difference", or keep the '
        'dtype '
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
    """Inputs for a module that was given none → a tuple of arrays of `rows` rows each

    A module that has `example(rows, seed)` says itself what it takes: an array of any shape, of floats or whole
    numbers, or a tuple of them. Else models get images in [0, 1] of their own width, and their noise; of others, the
    first layer that states its `inputs` decides, as images if its kernel says so; where nothing does, any width must
    do, and 5 is taken.
    """
    if columns is None and hasattr(module, "example"):
        return tuple(np.asarray(x) for x in several(module.example(rows, seed)))
    is_model = hasattr(module, "data_size")
    parts = module.modules() if isinstance(module, Module) else ()
    stated = [(m.inputs, getattr(m, "size", None)) for _, m in parts if isinstance(getattr(m, "inputs", None), int)]
    width, kernel = (columns, None) if columns else (module.data_size, None) if is_model else (stated or [(5, None)])[0]
    shape = (width,) if kernel is None else (kernel[0] + 2, kernel[1] + 1, width)
    draw = rng.uniform if is_model else rng.normal
    x = draw(seed, rng.CHECK, INPUT, np.arange(rows), prod(shape), np.float64).reshape(rows, *shape)
    return x, *make_noise(module, rows, seed)


def make_noise(module, rows, seed):
    """(eps (rows, noise_columns),) for a model that asks for it, else ()"""
    columns = getattr(module, "noise_columns", 0)
    return (rng.normal(seed, rng.CHECK, NOISE, np.arange(rows), columns, np.float64),) if columns else ()


def modes(module, inputs):
    """The modes to check a module in: both where they give different outputs, or where one of them fails, else its own,
    as [None]."""
    outputs = []
    for training in (False, True):
        try:
            outputs.append(several(twin(module, np.float64).train(training).forward(*(x.copy() for x in inputs))))
        except Exception:  # told where it is checked, in that mode
            return [False, True] if training else [None]
    return [None] if len(outputs[0]) == len(outputs[1]) and all(map(np.array_equal, *outputs)) else [False, True]


def first_forward(module, objective, made_up):
    """A copy of forward's output in float64. Raises ConfigError when it fails on an input that was made up for it."""
    try:
        objective.terms()
        return copy.deepcopy(objective.forward())
    except Exception as error:
        if not made_up:
            raise
        shapes = ", ".join(str(x.shape) for x in objective.inputs)
        raise ConfigError(
            f"{type(module).__name__}.forward failed on a made-up input of shape {shapes}: pass its inputs, or "
            f"columns=, or let it have example(rows, seed), which returns what it takes ({error})"
        ) from error
