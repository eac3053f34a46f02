"""relu: the simplest derivative with a decision in it."""

import numpy as np

from ....ops import numpy as ops
from ..exam import Spec
from .draws import BATCHES, draw, sized

TITLE = "ReLU and its gradient"
EQUATIONS = ("E6",)
WRITE = ("relu", "relu_backward")
HINTS = (
    "Draw y against x. What is its slope to the left of 0, and what to the right?",
    "An entry that was let through lets its gradient through; an entry that was stopped stops it. Which array says which it "
    "was: dY or x?",
    "Comparing an array with a number gives an array of True and False, which NumPy multiplies as 1 and 0; np.where picks "
    "from two arrays. Make a new array: whoever called you still needs x.",
)


def relu(x):
    return ops.relu(x, np.empty_like(x))


def relu_backward(dY, x):
    return ops.relu_backward(dY, x, relu(x), np.empty_like(x))


def known_forward(x):
    return {"y": [(np.abs(x), "keeps the size of negative entries, which should become 0"), (-relu(-x), "keeps the wrong half"),
                  (np.float64(x > 0), "is 1 where x is positive: the slope, and not the value")]}  # fmt: skip


def known(dY, x):
    return {"dX": [
        (dY, "lets everything through: where x was negative, nothing that x does changes y"),
        (dY * (dY > 0), "decides by the sign of dY: it is x that was let through or stopped"),
        (np.float64(x > 0), "does not use dY: by the chain rule, the slope is multiplied by what arrives from above"),
        (dY * (x < 0), "lets the wrong half through"),
        (dY * relu(x), "multiplies dY by the value of y, and should by its slope"),
    ]}  # fmt: skip


def slope(call, dY, x):
    return {"dX": (lambda v: dY * call("relu", v), x)}


def examine(exam):
    forward = sized("BN", BATCHES, lambda B, N: (draw(1, B, N),))
    backward = sized("BN", BATCHES, lambda B, N: (draw(2, B, N), draw(1, B, N)))
    huge = np.array([[-1e30, 1e30]])
    zero = np.array([[0.0, 0.0]])
    exam.examine(Spec("relu", ("x",), ("y",), relu, forward, known_forward, extremes=[("x = ±1e30", (huge,)), ("x = 0", (zero,))]))
    exam.examine(Spec("relu_backward", ("dY", "x"), ("dX",), relu_backward, backward, known, slope, "relu",
                      [("x = ±1e30", (huge / 1e30, huge)), ("x = 0", (zero + 1, zero))]))  # fmt: skip
