"""bernoulli: a likelihood that stays finite because it never leaves the logits."""

import numpy as np

from ....ops import numpy as ops
from ..exam import Spec, Wrong
from .draws import BATCHES, draw, draw_uniform, sized

TITLE = "softplus, and the Bernoulli likelihood on logits"
EQUATIONS = ("E10", "E17", "E18")
WRITE = ("softplus", "bernoulli_nll", "bernoulli_nll_backward")
HINTS = (
    "Softplus of a large a is nearly a, of a large negative a nearly 0. So take out the part that is a or 0 and look at "
    "what is left: it depends on the size of a only, and its exponential can only become small.",
    "−log p(x) for one pixel is −x log p − (1 − x) log(1 − p). Put p = sigmoid(a) in and simplify on paper until no log of "
    "a sigmoid is left: −log p and −log(1 − p) are each a softplus, of a or of −a, and those two differ by a.",
    "Sum over the pixels, keep the images apart. For the gradient: the slope of softplus is a function you know, and it must "
    "not overflow either (exercise sigmoid). Then each row is multiplied by its number in dnll.",
)


def softplus(a):
    return ops.softplus(a, np.empty_like(a), np.empty_like(a))


def nll(logits, x):
    return ops.bernoulli_nll(logits, x, np.empty(len(x)), (np.empty_like(x), np.empty_like(x)))


def backward(dnll, logits, x):
    return ops.bernoulli_nll_backward(dnll, logits, x, np.empty_like(x))


def known_nll(logits, x):
    return {"nll": [
        (np.sum(softplus(logits), axis=1), "does not use x"),
        (-nll(logits, 1 - x), "is log(1 − p) where log p should stand, and has lost its minus"),
        (nll(logits, 1 - x), "takes the pixels for their opposites: it charges for an on pixel what an off pixel costs"),
        (np.sum(softplus(logits) + x * logits, axis=1), "has the wrong sign before one of its two terms"),
    ]}  # fmt: skip


def known_backward(dnll, logits, x):
    return {"dlogits": [
        (backward(np.ones_like(dnll), logits, x), "does not use dnll"),
        (backward(np.full_like(dnll, dnll.mean()), logits, x), "takes one number for all rows: dnll has one for each"),
        (dnll[:, None] * (logits - x), "compares logits with pixels: a logit is turned into a probability first"),
        (backward(dnll, logits, 0 * x), "does not use x"),
    ]}  # fmt: skip


def slope(call, dnll, logits, x):
    return {"dlogits": (lambda v: dnll * call("bernoulli_nll", v, x), logits)}


def one_in_total(exam):
    """The probabilities of all images of three pixels add up to one, whatever the logits."""
    x = np.array([[i >> k & 1 for k in range(3)] for i in range(8)], np.float64)
    logits = np.tile(draw(5, 1, 3), (8, 1))
    total = float(np.exp(-exam.call("bernoulli_nll", logits, x, inputs=("logits", "x"))).sum())
    if abs(total - 1) > 1e-9:
        raise Wrong(f"the probabilities of all 8 black-and-white images of 3 pixels add up to {total:.6g}, and should to 1")
    return "the probabilities of all 8 images of 3 pixels add up to 1"


def examine(exam):
    one = sized("BD", BATCHES, lambda B, D: (draw(1, B, D),))
    pairs = sized("BD", BATCHES, lambda B, D: (draw(1, B, D), draw_uniform(2, B, D)))
    scaled = sized("BD", BATCHES, lambda B, D: (draw(3, B), draw(1, B, D), draw_uniform(2, B, D)))
    values = (100.0, -100.0, 1000.0, -1000.0)
    x = np.array([[0.0, 1.0]])
    exam.examine(Spec("softplus", ("a",), ("y",), softplus, one, extremes=[(f"a = {v:g}", (np.full((1, 2), v),)) for v in values]))
    exam.examine(Spec("bernoulli_nll", ("logits", "x"), ("nll",), nll, pairs, known_nll,
                      extremes=[(f"logits = {v:g}", (np.full((1, 2), v), x)) for v in values]))  # fmt: skip
    exam.layer("bernoulli_nll", "distribution", lambda: one_in_total(exam), exam.failed("bernoulli_nll", "shapes and dtypes"))
    exam.examine(Spec("bernoulli_nll_backward", ("dnll", "logits", "x"), ("dlogits",), backward, scaled, known_backward, slope,
                      "bernoulli_nll", [(f"logits = {v:g}", (np.full(1, 0.7), np.full((1, 2), v), x)) for v in values]))  # fmt: skip
