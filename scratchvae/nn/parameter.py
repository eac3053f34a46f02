"""Parameters, and the one flat buffer they live in."""

import math

import numpy as np

from .. import gate
from ..errors import ConfigError, ShapeError


class Parameter:
    """A named array that training changes, and its gradient: both views of the model's flat buffers once bound."""

    def __init__(self, shape, init, trained=True):
        """shape: tuple of integers · init(shape, seed, index) → array (see `nn.init`)

        trained=False: state that is not optimised, such as a running mean. Its "gradient" is what it falls by in a
        step, and shards add up theirs as they do gradients; it is saved, resumed and shared as any other.
        """
        sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
        self.shape, self.init = tuple(gate.whole("a Parameter's size", n, 0) for n in sizes), init
        self.trained = trained
        if not callable(init):
            raise ConfigError(
                f"a Parameter's init is a function of (shape, seed, index), as nn.init.zeros, not {gate.shown(init)}"
            )
        self.value = self.grad = None

    def __deepcopy__(self, memo):
        return Parameter(self.shape, self.init, self.trained)  # a copy is bound to buffers of its own


class ParameterBuffer:
    """All values in one array and all gradients in another (N,), laid out parameter by parameter in the order of
    `names`: first those that are trained, in `values[:trained]`, then the others.

    The optimiser, the checkpoint and an all-reduce each touch one array, not a tree.
    """

    def __init__(self, parameters, values, grads=None):
        """parameters: list of (name, Parameter), trained ones first, which are bound to views · values, grads (N,):
        kept, not copied"""
        self.trained = sum(math.prod(p.shape) for _, p in parameters if p.trained)
        self.names = [name for name, _ in parameters]
        self.shapes = {name: p.shape for name, p in parameters}
        self.values, self.grads = values, np.zeros_like(values) if grads is None else grads
        offset = 0
        self.slices = {}
        for name, p in parameters:
            part = slice(offset, offset + math.prod(p.shape))
            self.slices[name] = part
            p.value, p.grad = values[part].reshape(p.shape), self.grads[part].reshape(p.shape)
            offset = part.stop
        if offset != values.size:
            raise ShapeError(f"{offset:,} parameters do not fill a buffer of {values.size:,}")

    def view(self, name, flat=None):
        """The parameter's part of a flat array (default: the values), in its own shape."""
        return (self.values if flat is None else flat)[self.slices[name]].reshape(self.shapes[name])
