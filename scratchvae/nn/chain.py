"""Dense layers with activations between them, in one launch a layer where the backend has such a launch."""

from .arena import Kept
from .composition import Sequential
from .layers import ACTIVATIONS, Dense


class Chain(Sequential):
    """A Sequential, with its parameters' names. On a backend with `dense`, as on a GPU, a dense layer and the
    activation after it are one launch, and so are a dense layer's gradients and the slope of the activation before it.

    It goes layer by layer on any other backend, where a layer is of another kind, and where every array is to be kept
    with its name.
    """

    def forward(self, x):
        """x (B, inputs) → (B, outputs)"""
        self.done = None
        pairs = None if isinstance(self.arena, Kept) or not hasattr(self.ops, "dense") else self.pairs()
        if pairs is None or getattr(getattr(x, "dtype", None), "kind", "") != "f":
            return super().forward(x)
        pairs[0][0].given(x)
        self.done = []
        for dense, activation in pairs:
            shape, act = (len(x), dense.outputs), activation.name if activation else "none"
            # GELU and SiLU have slopes that y does not determine.
            pre = dense.new("y", shape, x.dtype) if act in ("gelu", "silu") else None
            y = (activation or dense).new("y", shape, x.dtype)
            self.done.append((dense, x, act, pre))
            x = self.ops.dense(x, dense.W.value, dense.b.value, y, act, pre, **dense.how(len(x), x.dtype))
        return x

    def backward(self, dY):
        """dY (B, outputs) → dX (B, inputs) or None. Writes every W.grad and b.grad."""
        if self.done is None:
            return super().backward(dY)
        befores = [("none", None), *(made[2:] for made in self.done)]
        for (dense, x, _, _), (act, pre) in reversed(list(zip(self.done, befores, strict=False))):
            dX = dense.new("dX", x.shape, dY.dtype) if dense.input_gradient else None
            gradients, how = (dX, dense.W.grad, dense.b.grad), dense.how(len(x), x.dtype)
            dY = self.ops.dense_backward(dY, x, dense.W.value, *gradients, act, pre, **how)
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
