"""adam: moments, and why the first step is as long as the thousandth."""

import numpy as np

from ....ops import numpy as ops
from ..exam import Spec, Wrong
from .draws import draw

TITLE = "one step of Adam"
EQUATIONS = ("E29",)
WRITE = ("adam",)
HINTS = (
    "Two running averages are kept: of the gradient, and of its square, entry by entry. The new value is mixed in with "
    "weight 1 − β.",
    "Both start at 0, so at first they are too small: after t steps the weights of what has been mixed in add up to 1 − β "
    "to the power t. Divide that out, for the update only: what you return are the averages themselves.",
    "The parameter moves against the first average divided by the root of the second. Ask for each of +, √ and eps in which "
    "order they come: eps is there for the case that the root is 0.",
)


def reference(p, g, m, v, lr, step, beta1=0.9, beta2=0.999, eps=1e-8):
    """The package's own update, whose moments are kept divided by 1 − β."""
    p, m, v = p.copy(), m / (1 - beta1), v / (1 - beta2)
    ops.adam(p, g.copy(), m, v, np.empty_like(p), lr, step, beta1, beta2, eps)
    return p, m * (1 - beta1), v * (1 - beta2)


def known(p, g, m, v, lr, step, beta1=0.9, beta2=0.999, eps=1e-8):
    new_m, new_v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = new_m / (1 - beta1**step), new_v / (1 - beta2**step)
    moved = lr * m_hat / (np.sqrt(v_hat) + eps)
    return {
        "p": [
            (p - lr * new_m / (np.sqrt(new_v) + eps), "lacks the correction of both averages for having started at 0"),
            (p - lr * m_hat / (np.sqrt(new_v) + eps), "lacks the correction of the second average for having started at 0"),
            (p - lr * new_m / (np.sqrt(v_hat) + eps), "lacks the correction of the first average for having started at 0"),
            (p - lr * m_hat / np.sqrt(v_hat + eps), "has eps under the root: it belongs beside it"),
            (p - lr * m_hat / np.sqrt(v_hat), "does not use eps: with a gradient of 0 it would divide 0 by 0"),
            (p - lr * m_hat / (v_hat + eps), "divides by the average of squares, and should divide by its root"),
            (p - lr * g / (np.sqrt(v_hat) + eps), "moves along the gradient itself: it should move along the average"),
            (p + moved, "climbs: the loss falls against the gradient"),
            (moved, "is the step alone: take it from p"),
            (-moved, "is the step alone: add it to p"),
        ],
        "m": [
            (beta1 * m + g, "mixes the new gradient in with weight 1"),
            ((1 - beta1) * m + beta1 * g, "has the two weights in each other's place: the average should change slowly"),
            (m_hat, "comes back corrected: return the average itself, or the next step corrects it twice"),
        ],
        "v": [
            (beta2 * v + g * g, "mixes the new square in with weight 1"),
            ((1 - beta2) * v + beta2 * g * g, "has the two weights in each other's place: the average should change slowly"),
            (v_hat, "comes back corrected: return the average itself, or the next step corrects it twice"),
            (beta2 * v + (1 - beta2) * g, "averages the gradient, and should average its square"),
            (beta2 * v + ((1 - beta2) * g) ** 2, "has the weight inside the square"),
            (beta1 * v + (1 - beta1) * g * g, "uses beta1, which is for the other average"),
        ],
    }


def valley(exam):
    """Fifty steps of 0.1 in (p − 3)²: each is about 0.1 long, so p climbs from 0 to 3 in thirty, and turns."""
    p, m, v = np.zeros(1), np.zeros(1), np.zeros(1)
    expected = p, m, v
    for step in range(1, 51):
        p, m, v = exam.call("adam", p, 2 * (p - 3), m, v, 0.1, step)
        expected = reference(expected[0], 2 * (expected[0] - 3), *expected[1:], 0.1, step)
    if not abs(float(p[0]) - float(expected[0][0])) < 1e-6:
        raise Wrong(f"fifty steps in the valley (p − 3)² end at {float(p[0]):.4f}, and should at {float(expected[0][0]):.4f}")
    return "fifty steps in a valley"


def examine(exam):
    # At step 1 the averages are 0; large eps and short memories make each constant count.
    cases = []
    for n, step in ((1, 1), (5, 1), (5, 2), (7, 30)):
        m, v = (np.zeros(n), np.zeros(n)) if step == 1 else (draw(3, n), draw(4, n) ** 2)
        cases.append(({"N": n, "step": step}, (draw(1, n), draw(2, n), m, v, 0.1, step, 0.8, 0.95, 1e-2)))
    names = "p", "g", "m", "v", "lr", "step", "beta1", "beta2", "eps"
    still = [("a gradient that was always 0", (np.ones(2), np.zeros(2), np.zeros(2), np.zeros(2), 0.1, 1))]
    exam.examine(Spec("adam", names, ("p", "m", "v"), reference, cases, known, extremes=still))
    exam.layer("adam", "fifty steps", lambda: valley(exam), exam.failed("adam", "shapes and dtypes", "values"))
