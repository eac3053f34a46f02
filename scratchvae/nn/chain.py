"""Dense layers with activations between them, in one launch a layer where the backend has such a launch."""

import numpy as np

from .arena import Kept
from .composition import Sequential
from .layers import ACTIVATIONS, Dense


class Chain(Sequential):
    """A Sequential, with its parameters' names. On a backend with `dense`, as on a GPU, a dense layer and the activation after it are
    one launch, and so are a dense layer's gradients and the slope of the activation before it.

    It goes layer by layer on any other backend, where a layer is of another kind, and where every array is to be kept with its name.
    """

    precision = "fp32"  # of the products on a GPU: or "tf32", for its tensor cores

    def forward(self, x):
        """x (B, inputs) → (B, outputs)"""
        self.done = None
        pairs = None if isinstance(self.arena, Kept) or not hasattr(self.ops, "dense") else self.pairs()
        if pairs is None or getattr(getattr(x, "dtype", None), "kind", "") != "f":
            return super().forward(x)
        pairs[0][0].given(x)
        self.done, how = [], self.how(pairs, len(x), x.dtype)
        for dense, activation in pairs:
            shape, act = (len(x), dense.outputs), activation.name if activation else "none"
            # GELU and SiLU have slopes that y does not determine.
            pre = dense.new("y", shape, x.dtype) if act in ("gelu", "silu") else None
            y = (activation or dense).new("y", shape, x.dtype)
            self.done.append((dense, x, act, pre))
            x = self.ops.dense(x, dense.W.value, dense.b.value, y, act, pre, **how)
        return x

    def backward(self, dY):
        """dY (B, outputs) → dX (B, inputs) or None. Writes every W.grad and b.grad."""
        if self.done is None:
            return super().backward(dY)
        how = self.how(self.pairs(), len(dY), dY.dtype)
        befores = [("none", None), *(made[2:] for made in self.done)]
        for (dense, x, _, _), (act, pre) in reversed(list(zip(self.done, befores, strict=False))):
            dX = dense.new("dX", x.shape, dY.dtype) if dense.input_gradient else None
            dY = self.ops.dense_backward(dY, x, dense.W.value, dX, dense.W.grad, dense.b.grad, act, pre, **how)
        return dY

    def pairs(self):
        """[(Dense, the activation after it or None)], if that is all there is and a Dense comes last; else None."""
        found = []
        for layer in self.layers:
            if type(layer) is Dense:
                found.append((layer, None))
            elif type(layer) in ACTIVATIONS.values() and found and found[-1][1] is None:
                found[-1] = found[-1][0], layer
            else:
                return None
        return found if found and found[-1][1] is None else None

    def how(self, pairs, rows, dtype):
        """Options of `ops.cuda.dense`: the precision, and what split-K needs for the largest of these layers.

        Its memory is no step's: tickets are zero between any two launches, and a graph that was captured goes on using it.
        """
        needs = [self.ops.scratch_size(rows, d.inputs, d.outputs, dtype.itemsize, self.precision) for d, _ in pairs]
        partials, tickets = (1 << max(column).bit_length() for column in zip(*needs, strict=True))  # a power of two: few are made
        held = self.__dict__.setdefault("held", [])
        for scratch in held:
            if scratch.partials.dtype == dtype and scratch.partials.size >= partials and scratch.tickets.size >= tickets:
                return {"precision": self.precision, "scratch": scratch}
        empty = self.backend.empty
        held.append(self.ops.Scratch(empty((partials,), dtype), self.backend.put(np.zeros(tickets, np.uint32))))
        return {"precision": self.precision, "scratch": held[-1]}
