"""sigmoid: right on paper is not yet right in floating point."""

import numpy as np

from ....ops import numpy as ops
from ..exam import Spec
from .draws import BATCHES, draw, sized

TITLE = "a sigmoid that never overflows"
EQUATIONS = ("E9",)
WRITE = ("sigmoid", "sigmoid_backward")
HINTS = (
    "Write it as it stands in a textbook first, and run the check. Then ask which intermediate number is too large, and for "
    "which sign of x.",
    "Some functions of NumPy are bounded for every x, however large, and one of them has the shape of a sigmoid: stretched "
    "and moved. np.where alone does not help: it computes both of its arrays and only then chooses.",
    "E9 has two forms. Show on paper that they are equal (multiply above and below by e to the x/2). For the gradient, "
    "write the slope in terms of y: at y = ½ it is largest, at y = 0 and y = 1 it vanishes.",
)


def sigmoid(x):
    return ops.sigmoid(x, np.empty_like(x))


def sigmoid_backward(dY, y):
    return ops.sigmoid_backward(dY, None, y, np.empty_like(y))


def known_forward(x):
    y = sigmoid(x)
    return {"y": [(1 - y, "falls where it should rise: look at the sign of the exponent"), (np.tanh(x), "is tanh itself: between −1 and 1"),
                  (2 * y - 1, "is between −1 and 1: move it and shrink it"), (sigmoid(2 * x), "is twice too steep")]}  # fmt: skip


def known(dY, y):
    s = sigmoid(y)
    return {"dX": [
        (dY * s * (1 - s), "takes the sigmoid of y: y is a sigmoid already"),
        (y * (1 - y), "does not use dY: by the chain rule, the slope is multiplied by what arrives from above"),
        (dY * (1 - y), "lacks a factor: the slope has to vanish at y = 0 as well"),
        (dY * y, "lacks a factor: the slope has to vanish at y = 1 as well"),
        (dY * (1 - y * y), "is the gradient of tanh"),
    ]}  # fmt: skip


def slope(call, dY, y):
    return {"dX": (lambda v: dY * call("sigmoid", v), np.log(y / (1 - y)))}


def examine(exam):
    forward = sized("BN", BATCHES, lambda B, N: (draw(1, B, N),))
    backward = sized("BN", BATCHES, lambda B, N: (draw(2, B, N), sigmoid(draw(1, B, N))))
    extremes = [(f"x = {value:g}", (np.full((1, 2), value),)) for value in (100.0, -100.0, 1000.0, -1000.0)]
    exam.examine(Spec("sigmoid", ("x",), ("y",), sigmoid, forward, known_forward, extremes=extremes))
    ends = [("y = 0 and y = 1", (np.ones((1, 2)), np.array([[0.0, 1.0]])))]
    exam.examine(Spec("sigmoid_backward", ("dY", "y"), ("dX",), sigmoid_backward, backward, known, slope, "sigmoid", ends))
