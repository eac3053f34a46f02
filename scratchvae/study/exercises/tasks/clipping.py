"""clipping: shorter, and never in another direction."""

import numpy as np

from ..exam import Spec, Wrong, agrees
from .draws import draw

TITLE = "clipping by global norm"
EQUATIONS = ("E38",)
WRITE = ("clip_by_global_norm",)
HINTS = (
    "An arrow that is too long is made shorter. What happens to its direction, and so, to each of its entries?",
    "One number multiplies all entries. It is never above 1: an arrow that is short enough stays as it is.",
    "At norm 0 there is nothing to clip, and something not to divide by. min(1, …), or an if, both do; only one of them "
    "needs more care.",
)


def reference(g, largest):
    norm = np.linalg.norm(g)
    return g * np.asarray(min(1.0, largest / norm) if norm else 1.0, g.dtype)


def known(g, largest):
    norm = np.linalg.norm(g)
    return {"g": [
        (np.clip(g, -largest, largest), "is clipped entry by entry, which turns it into another direction"),
        (np.clip(g, None, largest), "is clipped entry by entry, which turns it into another direction"),
        (g * largest / norm, "is scaled even though it is short enough: clipping never lengthens"),
        (g * min(1, largest / norm**2), "is divided by the square of the norm"),
        (g * min(1, np.sqrt(largest) / np.sqrt(norm)), "is divided by the root of the norm"),
        (g * min(1, largest / np.abs(g).sum()), "is measured by the sum of sizes: the Euclidean norm is the root of the sum of squares"),
        (g * min(1, largest / np.abs(g).max()), "is measured by its largest entry: the norm takes all of them together"),
        (g / norm, "always gets norm 1"),
        (g, "comes back unchanged, and is too long"),
    ]}  # fmt: skip


def direction(exam):
    g = draw(3, 9)
    for largest in (0.01, 1.0, 100.0):
        got = np.asarray(exam.call("clip_by_global_norm", g, largest, inputs=("g", "largest")))
        if np.linalg.norm(got) > largest * (1 + 1e-12):
            raise Wrong(f"the clipped gradient has norm {np.linalg.norm(got):.6g}, and should have at most {largest:g}")
        if not agrees(g * np.linalg.norm(got), got * np.linalg.norm(g)):
            raise Wrong(f"the clipped gradient points in another direction (largest = {largest:g})")
    return "the direction stays"


def examine(exam):
    sizes = (1, 0.05), (1, 10.0), (5, 0.5), (5, 100.0), (7, 1.5)  # too long, short enough, and so on
    cases = [({"N": n, "largest": largest}, (draw(n, n), largest)) for n, largest in sizes]
    zero = [("a gradient of 0", (np.zeros(3), 1.0))]
    exam.examine(Spec("clip_by_global_norm", ("g", "largest"), ("g",), reference, cases, known, extremes=zero))
    exam.layer("clip_by_global_norm", "direction", lambda: direction(exam), exam.failed("clip_by_global_norm", "shapes and dtypes"))
