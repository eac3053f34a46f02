"""Dense layers and activations. Each calls one pair of operations and remembers what it needs."""

import numpy as np

from .. import gate
from ..backend import NUMPY
from ..errors import ShapeError
from . import init
from .module import Module
from .parameter import Parameter


class Dense(Module):
    """Y = X W + b.   W (inputs, outputs), b (outputs,)"""

    precision = "fp32"  # of the products on a GPU: or "tf32", for its tensor cores

    def __init__(self, inputs, outputs, init_W=init.glorot, init_b=init.zeros, input_gradient=True):
        """input_gradient=False skips dX, which a network's first layer need not compute; backward then returns None."""
        self.inputs, self.outputs = gate.whole("inputs", inputs), gate.whole("outputs", outputs)
        self.input_gradient = input_gradient
        self.W, self.b = Parameter((self.inputs, self.outputs), init_W), Parameter((self.outputs,), init_b)

    def given(self, x):
        """Refuse an x of another width, dtype or backend. Raises ShapeError."""
        self.suits(x, self.W)
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise ShapeError(f"Dense takes (rows, {self.inputs}), not {x.shape}")

    def forward(self, x):
        """x (B, inputs) → (B, outputs)"""
        self.given(x)
        self.x, y = x, self.new("y", (len(x), self.outputs), x.dtype)
        return self.ops.affine(x, self.W.value, self.b.value, y, **self.how(len(x), x.dtype))

    def backward(self, dY):
        """dY (B, outputs) → dX (B, inputs) or None. Writes W.grad and b.grad."""
        self.floats(dY=dY, like=((len(self.x), self.outputs), self.x.dtype))
        dX = self.new("dX", self.x.shape, dY.dtype) if self.input_gradient else None
        how = self.how(len(dY), dY.dtype)
        return self.ops.affine_backward(dY, self.x, self.W.value, dX, self.W.grad, self.b.grad, **how)

    def how(self, rows, dtype):
        """Options of a GPU's products: the precision, and what split-K needs. NumPy's have none.

        Its memory is no step's: tickets are zero between any two launches, and a graph that was captured goes on using
        it.
        """
        if self.backend is NUMPY or not hasattr(self.ops, "scratch_size") or dtype.char not in "fd":
            return {}  # other dtypes the operation refuses by name
        needs = self.ops.scratch_size(rows, self.inputs, self.outputs, dtype.itemsize, self.precision)
        partials, tickets = (1 << need.bit_length() for need in needs)  # powers of two: few are made
        held = self.__dict__.setdefault("held", [])
        for scratch in held:
            large = scratch.partials.size >= partials and scratch.tickets.size >= tickets
            if large and scratch.partials.dtype == dtype:
                return {"precision": self.precision, "scratch": scratch}
        empty = self.backend.empty
        held.append(self.ops.Scratch(empty((partials,), dtype), self.backend.put(np.zeros(tickets, np.uint32))))
        return {"precision": self.precision, "scratch": held[-1]}

    def operations(self, rows):
        """2·B·I·O each for Y, dW and (if asked) dX, and B·O each for the bias and its gradient."""
        rows = gate.whole("rows", rows)
        products = 3 if self.input_gradient else 2
        return products * 2 * rows * self.inputs * self.outputs + 2 * rows * self.outputs


class Activation(Module):
    """y = f(x), element by element.   x, y of one shape, (B, …)

    A subclass names itself for configurations, says what its derivative reads of x and y, so that nothing else is kept,
    and calls the pair of operations that it stands for.
    """

    name, reads = None, "xy"

    def forward(self, x):
        self.floats(x=x)
        y = self.new("y", x.shape, x.dtype)
        self.x, self.y = x if "x" in self.reads else None, y if "y" in self.reads else None
        return self.f(x, y)

    def backward(self, dY):
        self.floats(dY=dY, like=self.y if self.x is None else self.x)
        return self.df(dY, self.x, self.y, self.new("dX", dY.shape, dY.dtype))


class ReLU(Activation):
    name, reads = "relu", "y"

    def f(self, x, y):
        return self.ops.relu(x, y)

    def df(self, dY, x, y, dX):
        return self.ops.relu_backward(dY, x, y, dX)


class LeakyReLU(Activation):
    name = "leaky_relu"

    def f(self, x, y):
        return self.ops.leaky_relu(x, y, self.work(x.shape, x.dtype))

    def df(self, dY, x, y, dX):
        return self.ops.leaky_relu_backward(dY, x, y, dX)


class Tanh(Activation):
    name, reads = "tanh", "y"

    def f(self, x, y):
        return self.ops.tanh(x, y)

    def df(self, dY, x, y, dX):
        return self.ops.tanh_backward(dY, x, y, dX)


class Sigmoid(Activation):
    name, reads = "sigmoid", "y"

    def f(self, x, y):
        return self.ops.sigmoid(x, y)

    def df(self, dY, x, y, dX):
        return self.ops.sigmoid_backward(dY, x, y, dX)


class Softplus(Activation):
    name = "softplus"

    def f(self, x, y):
        return self.ops.softplus(x, y, self.work(x.shape, x.dtype))

    def df(self, dY, x, y, dX):
        return self.ops.softplus_backward(dY, x, y, dX)


class GELU(Activation):
    name, reads = "gelu", "x"

    def f(self, x, y):
        return self.ops.gelu(x, y)

    def df(self, dY, x, y, dX):
        return self.ops.gelu_backward(dY, x, y, dX, self.work(x.shape, x.dtype))


class SiLU(Activation):
    name = "silu"

    def f(self, x, y):
        return self.ops.silu(x, y)

    def df(self, dY, x, y, dX):
        return self.ops.silu_backward(dY, x, y, dX, self.work(x.shape, x.dtype))


ACTIVATIONS = {layer.name: layer for layer in (ReLU, LeakyReLU, Tanh, Sigmoid, Softplus, GELU, SiLU)}
