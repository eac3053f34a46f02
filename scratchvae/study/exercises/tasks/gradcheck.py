"""gradcheck: a check is worth what it catches, so it is given right and wrong gradients to judge."""

import numpy as np

from ..exam import Wrong
from .draws import draw

TITLE = "a gradient check of one's own"
EQUATIONS = ("E35",)
WRITE = ("largest_error",)
HINTS = (
    "f has many outputs, so choose a weight for each and differentiate the weighted sum: f_backward's answer to dY is the "
    "gradient of Σ dY · f(x). With all weights equal to 1, many mistakes cannot be seen.",
    "One entry of x at a time, a little up and a little down, on fresh copies. Near h = 1e-5 rounding and curvature disturb "
    "least.",
    "Compare entry by entry and keep the largest difference: in a sum, errors cancel. Divide by the largest slope, so that "
    "the size of f does not matter. What becomes of your result when one entry is NaN?",
)
RIGHT, CAUGHT = 1e-6, 1e-3
X = draw(1, 3, 4)
A = draw(2, 4, 5)


def f(x):
    return np.tanh(x @ A)


def right(dY, x):
    return (dY * (1 - f(x) ** 2)) @ A.T


def one_entry(change):
    """`right` with its last entry changed: every entry has to be looked at."""

    def backward(dY, x):
        dX = right(dY, x)
        dX[-1, -1] = change(dX[-1, -1], dX)
        return dX

    return backward


def cancelling(dY, x):
    """Errors that add up to 0."""
    dX = right(dY, x)
    dX[0, 0] += 1
    dX[0, 1] -= 1
    return dX


PLANTED = [
    ("is twice too large", lambda dY, x: 2 * right(dY, x)),
    ("has the wrong sign", lambda dY, x: -right(dY, x)),
    ("is 0", lambda dY, x: 0 * right(dY, x)),
    ("does not use dY, as if it were 1 everywhere", lambda dY, x: right(np.ones_like(dY), x)),
    ("is wrong in its last entry only", one_entry(lambda last, dX: last + np.abs(dX).max())),
    ("is too small in one place and too large in another, by the same amount", cancelling),
    ("is too small in every place", lambda dY, x: right(dY, x) - 1),
    ("gives the first row's gradient to every row", lambda dY, x: np.repeat(right(dY, x)[:1], len(x), axis=0)),
    ("is NaN in one place", one_entry(lambda last, dX: np.nan)),
]


def run(exam, f, f_backward, x):
    got = exam.call("largest_error", f, f_backward, x, inputs=("f", "f_backward", "x"))
    if got is None:
        raise Wrong("nothing came back: is a `return` missing?")
    if np.ndim(got) != 0 or np.asarray(got).dtype.kind not in "iuf":
        raise Wrong("should return one real number: the largest error")
    return float(got)


def right_ones(exam):
    """Also of a single entry, and of an f that is its own negative at −x."""
    one = np.array([[0.5]])
    for words, function, backward, x in (
        ("y = tanh(x A)", f, right, X), ("y = x² with x (1, 1)", lambda x: x * x, lambda dY, x: 2 * x * dY, one),
        ("y = 3 x", lambda x: 3 * x, lambda dY, x: 3 * dY, X),
    ):  # fmt: skip
        error = run(exam, function, backward, x)
        if not 0 <= error < RIGHT:
            raise Wrong(f"says {error:.2g} of a gradient that is right ({words}), and should say less than {RIGHT:g}")
    return "three right gradients"


def planted(exam):
    missed = []
    for words, backward in PLANTED:
        error = run(exam, f, backward, X)
        if error < CAUGHT:
            missed.append(f"passes a gradient that {words}: says {error:.2g}")
    if missed:
        raise Wrong(*missed)
    return f"{len(PLANTED)} wrong gradients are caught"


def scaled(exam):
    for size in (1e-6, 1e6):
        larger = lambda x, size=size: size * f(x)
        error = run(exam, larger, lambda dY, x, size=size: size * right(dY, x), X)
        if not 0 <= error < RIGHT:
            raise Wrong(f"says {error:.2g} of a right gradient when f is {size:g} times larger: an error counts relative to the slopes")
        error = run(exam, larger, lambda dY, x, size=size: 2 * size * right(dY, x), X)
        if error < CAUGHT:
            raise Wrong(f"says {error:.2g} of a wrong gradient when f is {size:g} times larger: an error counts relative to the slopes")
    return "f of size 1e-6 and 1e6"


def untouched(exam):
    run(exam, f, right, X)
    if "x" in exam.student.modified:
        raise Wrong("changes x in place, which the caller still needs")


def examine(exam):
    name = "largest_error"
    exam.layer(name, "right gradients", lambda: right_ones(exam))
    wait = exam.failed(name)
    exam.layer(name, "wrong gradients", lambda: planted(exam), wait)
    exam.layer(name, "inputs untouched", lambda: untouched(exam), wait)
    exam.layer(name, "scale", lambda: scaled(exam), exam.failed(name))
