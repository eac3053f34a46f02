"""Modules made of modules: one after the other, around, and side by side. Where a path divides, the gradients of its branches add up."""

from math import prod

from .. import gate
from ..errors import ConfigError, ShapeError
from .module import Module


class Sequential(Module):
    """Layers one after the other; parameters are named by place: "0.W", "0.b", "2.W" …"""

    def __init__(self, *layers):
        for layer in layers:
            if not isinstance(layer, Module):
                raise ConfigError(f"Sequential takes modules, as Sequential(Dense(4, 3), Tanh()), not {gate.shown(layer)}")
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dY):
        for layer in reversed(self.layers):
            dY = layer.backward(dY)
        return dY


class Residual(Module):
    """y = x + f(x) (E82; He et al., 2016): the gradient comes back through both, dX = dY + f's.   x, y of one shape"""

    def __init__(self, *layers):
        self.around = Sequential(*layers)

    def forward(self, x):
        """Raises ShapeError where f returns another shape than it was given."""
        y = self.around.forward(x)
        if y.shape != x.shape:
            raise ShapeError(f"Residual adds what its layers make of x to x: they make {y.shape} of {x.shape}")
        return self.ops.plus(x, y, self.new("sum", x.shape, x.dtype))

    def backward(self, dY):
        return self.ops.plus(dY, self.around.backward(dY), self.new("dX", dY.shape, dY.dtype))


class Concat(Module):
    """The channels of a, then those of b.   a (…, C), b (…, D) → (…, C + D)"""

    def forward(self, a, b):
        """Raises ShapeError unless all axes but the last are the same."""
        self.floats(a=a, b=b)
        if a.shape[:-1] != b.shape[:-1] or a.dtype != b.dtype:
            raise ShapeError(f"Concat puts channels side by side, and {a.shape} {a.dtype} and {b.shape} {b.dtype} differ in more")
        self.widths = a.shape[-1], b.shape[-1]
        return self.ops.concat(a, b, self.new("y", (*a.shape[:-1], sum(self.widths)), a.dtype))

    def backward(self, dY):
        """dY (…, C + D) → da, db"""
        self.floats(dY=dY)
        da, db = (self.new(name, (*dY.shape[:-1], n), dY.dtype) for name, n in zip(("da", "db"), self.widths, strict=True))
        return self.ops.concat_backward(dY, da, db)


class Skip(Module):
    """x beside what the layers make of it: Concat(x, f(x)) (E77). Two gradients meet at x (E78).   x (…, C) → (…, C + D)"""

    def __init__(self, *layers):
        self.around, self.join = Sequential(*layers), Concat()

    def forward(self, x):
        return self.join.forward(x, self.around.forward(x))

    def backward(self, dY):
        dx, dy = self.join.backward(dY)
        return self.ops.plus(dx, self.around.backward(dy), self.new("dX", dx.shape, dx.dtype))


class Reshape(Module):
    """The same numbers in another shape, row by row; nothing is copied.   x (B, …) → (B, *shape)"""

    def __init__(self, *shape):
        """shape: of one row, such as (7, 7, 64)"""
        self.shape = tuple(gate.whole("a side of the shape", n) for n in shape)

    def forward(self, x):
        """Raises ShapeError where the numbers of a row are not as many."""
        self.floats(x=x)
        if prod(x.shape[1:]) != prod(self.shape):
            raise ShapeError(f"Reshape makes rows of {self.shape}, {prod(self.shape)} numbers, and was given {x.shape}")
        return _reshaped(self, x, self.shape)

    def backward(self, dY):
        return _back(self, dY)


class Flatten(Module):
    """Each row as one line of numbers; nothing is copied.   x (B, …) → (B, N)"""

    def forward(self, x):
        self.floats(x=x)
        return _reshaped(self, x, (prod(x.shape[1:]),))

    def backward(self, dY):
        return _back(self, dY)


def _reshaped(module, x, shape):
    module.before, module.after = x.shape, ((len(x), *shape), x.dtype)
    return x.reshape(module.after[0])


def _back(module, dY):
    if dY is None:  # of what comes first in a network
        return None
    module.floats(dY=dY, like=module.after)
    return dY.reshape(module.before)
