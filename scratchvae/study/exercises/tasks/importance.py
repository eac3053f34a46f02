"""importance: the logarithm of a mean, and weights that add up to one."""

import numpy as np

from ....ops import numpy as ops
from ..exam import Spec
from .draws import draw

TITLE = "the importance-weighted bound"
EQUATIONS = ("E48", "E93")
WRITE = ("importance_loss", "importance_loss_backward")
HINTS = (
    "With one draw, K = 1, the loss is nll itself. With K equal ones it is the same number. Test your formula there.",
    "e to the −1000 is 0, and its logarithm is not finite. Which number can be taken out of all K before the "
    "exponentials, and added again behind the logarithm, so that the largest of them is 1?",
    "Differentiate log of a sum of exponentials by one exponent: what stands before it is that exponential over the sum "
    "of all. The K numbers of an image add up to its dloss.",
)
SIZES = [(1, 1), (1, 2), (3, 2), (5, 4), (2, 7)]


def loss(nll):
    return ops.importance_loss(nll.reshape(-1), 0 * nll.reshape(-1), np.empty(len(nll)), np.empty_like(nll))


def weights(nll):
    w = np.empty_like(nll)
    ops.importance_loss(nll.reshape(-1), 0 * nll.reshape(-1), np.empty(len(nll)), w)
    return w


def backward(dloss, nll):
    return dloss[:, None] * weights(nll)


def known_loss(nll):
    K = nll.shape[1]
    return {"loss": [
        (np.mean(nll, axis=1), "is the mean of the logarithms, where the logarithm of the mean should stand: the ELBO, for any K"),
        (loss(nll) - np.log(K), "is the logarithm of the sum: a mean divides by K"),
        (-loss(nll), "has lost its minus: it is what is made large, not small"),
        (-loss(-nll), "weighs by e to the +nll: the worst draw counts most"),
        (np.min(nll, axis=1), "is that of the best draw alone: the others count, too"),
        (np.sum(weights(nll) * nll, axis=1), "is a weighted mean of the logarithms, which lies on the other side of the bound"),
    ]}  # fmt: skip


def known_backward(dloss, nll):
    w, of_image = weights(nll), dloss[:, None]
    mean = np.sum(w * nll, axis=1, keepdims=True)
    return {"dnll": [
        (w, "does not use dloss"),
        (dloss.mean() * w, "takes one number for all images: dloss has one for each"),
        (of_image * weights(-nll), "weighs by e to the +nll: the worst draw gets most of it"),
        (of_image / nll.shape[1] + 0 * nll, "gives every draw the same: each counts by its weight"),
        (-backward(dloss, nll), "has the wrong sign"),
        (of_image * w * (1 - nll + mean), "differentiates the weights as well, and adds: they are the derivative already"),
        (of_image * np.exp(-nll), "has weights that do not add up to 1: divide by their sum"),
    ]}  # fmt: skip


def slope(call, dloss, nll):
    return {"dnll": (lambda v: dloss * call("importance_loss", v), nll)}


def examine(exam):
    many = [(dict(zip("BK", sizes, strict=True)), (2 * draw(1, *sizes),)) for sizes in SIZES]
    both = [(dict(zip("BK", sizes, strict=True)), (draw(2, sizes[0]), 2 * draw(1, *sizes))) for sizes in SIZES]
    values = (1000.0, -1000.0)
    far = lambda v: np.array([[v, v + 1.0, v + 2.0]])
    exam.examine(Spec("importance_loss", ("nll",), ("loss",), loss, many, known_loss,
                      extremes=[(f"nll = {v:g}, …", (far(v),)) for v in values]))  # fmt: skip
    exam.examine(Spec("importance_loss_backward", ("dloss", "nll"), ("dnll",), backward, both, known_backward, slope,
                      "importance_loss", [(f"nll = {v:g}, …", (np.full(1, 0.7), far(v))) for v in values]))  # fmt: skip
