"""complex_step: a derivative without subtraction."""

import numpy as np

from ..exam import Wrong, agrees, diagnose
from .draws import draw

TITLE = "the complex step"
EQUATIONS = ("E34",)
WRITE = ("complex_step",)
HINTS = (
    "Expand f(x + i h) in powers of h. Which part of the result, real or imaginary, has the derivative in it, and what is "
    "the next term?",
    "Nothing is subtracted, so h may be as small as you like: 1e-40 is usual. Only a complex array can hold x + i h.",
    "One entry at a time: start from a fresh complex copy of x, move that entry, call f once, keep one number. "
    "np.ndindex(x.shape) walks over an array of any shape.",
)
TOLERANCE = 1e-13  # rounding alone


def smooth(x):
    return np.sum(np.exp(x) * np.sin(x))


def smooth_slope(x):
    return np.exp(x) * (np.sin(x) + np.cos(x))


def coupled(x):
    """Every entry meets every other."""
    return np.sum(np.cumsum(x.ravel()) ** 2) / 2


def coupled_slope(x):
    return np.cumsum(np.cumsum(x.ravel())[::-1])[::-1].reshape(x.shape)


def offset(x):
    """So large beside what changes that a difference keeps hardly a digit."""
    return 1e12 + np.sum(np.sin(x))


def run(exam, f, x):
    return exam.call("complex_step", f, x, inputs=("f", "x"))


def shapes(exam):
    for shape in ((1,), (4,), (2, 3), (2, 1, 3)):
        got = run(exam, smooth, draw(1, *shape))
        if got is None:
            raise Wrong("nothing came back: is a `return` missing?")
        if np.shape(got) != shape:
            raise Wrong(f"the slopes have shape {np.shape(got)} for an x of shape {shape}: each entry of x has one slope")
        if np.iscomplexobj(got):
            raise Wrong("the slopes are complex, and should be real")
    return "1 to 3 axes"


def values(exam):
    for name, f, slope in (("Σ exp(x) sin(x)", smooth, smooth_slope), ("½ Σ cumsum(x)²", coupled, coupled_slope)):
        for shape in ((1,), (4,), (3, 5)):
            x = draw(2, *shape)
            expected, got = slope(x), run(exam, f, x)
            if agrees(expected, got, TOLERANCE):
                continue
            known = [
                (np.full_like(expected, expected.sum()), "holds the sum of all slopes in every place: move one entry at a time"),
                (np.cumsum(expected.ravel()).reshape(shape), "adds up from entry to entry: take the last step back before the next"),
                (np.full_like(expected, float(f(x))), "is the value of f, and not its slope: look at the other part"),
            ]
            if np.abs(got).min() > 1e9:
                raise Wrong(f"the slope is huge, about {np.abs(got).max():.0e}: which part of f(x + i h) was divided by h? (f = {name})")
            words = diagnose(expected, got, known=known, tolerance=TOLERANCE) or "is wrong, and like none of the usual mistakes"
            if np.abs(got - expected).max() < 1e-3 * np.abs(expected).max():
                words += "; a step that is too large does that, and so does a difference of two values of f"
            raise Wrong(f"the slope {words} (f = {name}, x of shape {shape})")
    return "two functions, three shapes, to rounding error"


def hard(exam):
    x = draw(3, 4)
    got = run(exam, offset, x)
    if not agrees(np.cos(x), got, TOLERANCE):
        raise Wrong("is wrong for f = 10¹² + Σ sin(x): the constant has no slope, and swallows the digits of a difference")
    tiny = run(exam, smooth, x * 1e-20)
    if not agrees(smooth_slope(x * 1e-20), tiny, TOLERANCE):
        raise Wrong("is wrong at an x of about 1e-20: is the step small beside x, too?")
    return "beside a constant of 10¹², and at an x of 1e-20"


def untouched(exam):
    run(exam, smooth, draw(1, 2, 3))
    if "x" in exam.student.modified:
        raise Wrong("changes x in place, which the caller still needs")


def examine(exam):
    name = "complex_step"
    exam.layer(name, "shapes", lambda: shapes(exam))
    wait = exam.failed(name)
    exam.layer(name, "values", lambda: values(exam), wait)
    exam.layer(name, "inputs untouched", lambda: untouched(exam), wait)
    exam.layer(name, "hard functions", lambda: hard(exam), exam.failed(name))
