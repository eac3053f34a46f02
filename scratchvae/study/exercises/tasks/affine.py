"""affine: the layer that everything else stands between."""

import numpy as np

from ....ops import numpy as ops
from ..exam import Spec
from .draws import draw, sized

TITLE = "a dense layer and its gradients"
EQUATIONS = ("E4", "E5")
WRITE = ("affine", "affine_backward")
HINTS = (
    "Write the shapes down first. Only one order of the factors makes a (B, I) and a (I, O) into a (B, O); the bias is "
    "added to every row.",
    "Each gradient has the shape of its array, and each is made of dY and one other array. Two of the three are matrix "
    "products: the shapes alone say which factor is transposed, and which comes first.",
    "Look at one entry. W[i, o] meets x[:, i] in every row and changes Y[:, o] only: so its gradient gathers x[:, i] and "
    "dY[:, o] over the rows. And b[o] changes Y[:, o] in every row by the same amount.",
)
SHAPES = [(1, 1, 1), (1, 3, 1), (1, 1, 3), (3, 1, 1), (3, 5, 3), (5, 3, 7)]


def affine(x, W, b):
    return ops.affine(x, W, b, np.empty((len(x), len(b))))


def affine_backward(dY, x, W):
    dX, dW, db = np.empty_like(x), np.empty_like(W), np.empty(W.shape[1])
    ops.affine_backward(dY, x, W, dX, dW, db)
    return dX, dW, db


def known(dY, x, W):
    return {"db": [(dY.sum(axis=1), "sums over the columns, and should sum over the rows: b is added to each row")]}


def slope(call, dY, x, W):
    b = np.zeros(W.shape[1])
    return {
        "dX": (lambda v: dY * call("affine", v, W, b), x),
        "dW": (lambda v: dY * call("affine", x, v, b), W),
        "db": (lambda v: dY * call("affine", x, W, v), b),
    }


def examine(exam):
    forward = sized("BIO", SHAPES, lambda b, i, o: (draw(1, b, i), draw(2, i, o), draw(3, o)))
    backward = sized("BIO", SHAPES, lambda b, i, o: (draw(4, b, o), draw(1, b, i), draw(2, i, o)))
    exam.examine(Spec("affine", ("x", "W", "b"), ("Y",), affine, forward))
    outputs = "dX", "dW", "db"
    exam.examine(Spec("affine_backward", ("dY", "x", "W"), outputs, affine_backward, backward, known, slope, "affine"))
