"""Which mistake it looks like: two arrays, the right one and the one that came out, compared in plain words."""

from itertools import combinations

import numpy as np

TOLERANCE = 1e-9  # of the largest entry: far above rounding, far below any mistake in a formula
_NEARLY = 1e-3  # within this it is digits that are missing, not a factor or a term
CONSTANT, PLACES = ": a constant factor", "is wrong exactly where"  # what may be so in one case by chance
_FACTORS = {
    2.0: "is twice too large everywhere",
    0.5: "is half of what it should be everywhere",
    -1.0: "has the wrong sign everywhere",
    -2.0: "is twice too large everywhere, and of the wrong sign",
    -0.5: "is half of what it should be everywhere, and of the wrong sign",
}
_FUNCTIONS = (
    (np.square, "is the square of what it should be: a variance where a standard deviation was meant?"),
    (np.sqrt, "is the square root of what it should be: a standard deviation where a variance was meant?"),
    (np.exp, "is the exponential of what it should be: an exp too many?"),
    (np.log, "is the logarithm of what it should be: a log too many, or an exp too few?"),
    (np.reciprocal, "is one over what it should be: divided where it should be multiplied?"),
    (np.abs, "has the right size everywhere and has lost its sign"),
)


def agrees(expected, got, tolerance=TOLERANCE):
    """True if got has expected's shape and no entry is off by more than `tolerance` of expected's largest."""
    expected, got = np.asarray(expected), np.asarray(got)
    if expected.shape != got.shape or expected.size == 0:
        return expected.shape == got.shape
    off = np.abs(got - expected).max()
    return bool(np.isfinite(off) and off <= tolerance * np.abs(expected).max())


def as_numbers(value):
    """`value` as an array of numbers, or None when it is something else: text, None, a ragged list."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        return None
    return array if array.dtype.kind in "biufc" else None


def diagnose(expected, got, sizes=None, known=(), tolerance=TOLERANCE):
    """What is wrong with `got`, as a predicate ("is twice too large everywhere"), or None.

    None means that the two agree, or that no mistake known here leads from one to the other.
    expected, got: arrays of any shape · sizes: {"B": 5, …}, names for the lengths that a sum or a mean may run over;
    distinct odd numbers tell most · known: (wrong array, words) pairs, typical mistakes of this one formula, which are
    tried first.
    """
    if got is None:
        return "is None: is a `return` missing?"
    expected, got = np.asarray(expected), as_numbers(got)
    if got is None:
        return "is not an array of numbers"
    if agrees(expected, got, tolerance) or not np.isfinite(expected).all():
        return None
    with np.errstate(all="ignore"):  # a wrong array may hold anything
        for wrong, words in known:
            if agrees(wrong, got, tolerance):
                return words
        if expected.shape != got.shape:
            return _shape(expected, got, tolerance)
        return _values(expected, got, sizes or {}, tolerance)


def _shape(expected, got, tolerance):
    """Words for arrays of different shapes."""
    head = f"has shape {got.shape} and should have {expected.shape}"
    if agrees(expected, got.T, tolerance):
        return f"{head}: the transposed is right, so look at which factor comes first"
    if got.size == expected.size and agrees(expected.ravel(), got.ravel(), tolerance):
        same = expected.squeeze().shape == got.squeeze().shape
        return f"{head}: the numbers are right, " + (
            "but an axis of length 1 was kept or lost" if same else "in another arrangement"
        )
    for axis in range(got.ndim):
        if agrees(expected, got.sum(axis), tolerance):
            return f"{head}: the sum over {_axis(axis, got.ndim)} is missing"
    for axis in (*range(expected.ndim), None):
        for name, total in (("sum", expected.sum(axis)), ("mean", expected.mean(axis))):
            if expected.ndim and agrees(total, got, tolerance):
                over = "everything" if axis is None or expected.ndim == 1 else _axis(axis, expected.ndim)
                return f"{head}: it is the {name} over {over} of the right array, so one {name} too many was taken"
    if got.shape == expected.shape[::-1] and expected.ndim == 2:
        return f"{head}: the axes have changed places, so look at which factor comes first and which one is transposed"
    if expected.ndim == 1 and got.shape == 2 * expected.shape:
        return f"{head}: a row of numbers met a column of them, and NumPy made every pair"
    return head


def _axis(axis, ndim):
    return {(0, 2): "rows", (1, 2): "columns", (0, 1): "everything"}.get((axis, ndim), f"axis {axis}")


def _values(expected, got, sizes, tolerance):
    """Words for arrays of one shape, or None."""
    lost = ~np.isfinite(got)
    if np.isnan(got).all():
        return "is NaN everywhere: it was never written, or 0/0 or ∞ − ∞ stands on its way"
    if lost.any():
        return f"is NaN or infinite in {lost.sum()} of {lost.size} places"
    if np.iscomplexobj(got) and not np.iscomplexobj(expected) and got.imag.any():
        return "is complex and should be real"
    if not expected.any():
        return "should be 0 everywhere: forward does not depend on it"
    if not got.any():
        return "is 0 everywhere"
    if expected.ndim == 2 and expected.shape[0] == expected.shape[1] and agrees(expected.T, got, tolerance):
        return "is transposed: look at which factor comes first"
    off = np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-300)
    if off < _NEARLY:
        return (
            f"is right to about {int(-np.log10(off))} digits only: digits are lost on the way, or a small term is wrong"
        )
    return (
        _factor(expected, got, sizes, tolerance)
        or next((words for f, words in _FUNCTIONS if agrees(f(expected), got, tolerance)), None)
        or _offset(expected, got, tolerance)
        or _places(expected, got, tolerance)
    )


def _factor(expected, got, sizes, tolerance):
    """got = c · expected for one number c. A single entry has such a c for any mistake, so only the usual ones count
    there."""
    square = np.vdot(expected, expected).real
    c = float((np.vdot(expected, got) / square).real) if square else 0.0
    if not c or not agrees(c * expected, got, tolerance):
        return None
    runs = [(names, np.prod([sizes[n] for n in names])) for k in (1, 2) for names in combinations(sizes, k)]
    for names, n in runs:
        name = " · ".join(names)
        if n > 2 and np.isclose(c, 1 / n, rtol=1e-6):
            return f"is too small by a factor of {n}, which is {name}: a mean where a sum was meant?"
        if n > 2 and np.isclose(c, n, rtol=1e-6):
            return (
                f"is too large by a factor of {n}, which is {name}: a sum where a mean was meant, or a sum taken twice?"
            )
    for usual, words in _FACTORS.items():
        if np.isclose(c, usual, rtol=1e-6):
            return words
    several = np.count_nonzero(np.abs(expected) > tolerance * np.abs(expected).max()) > 1
    return f"is {c:.4g} times what it should be everywhere{CONSTANT}" if several else None


def _offset(expected, got, tolerance):
    off = got - expected
    if expected.size > 1 and agrees(np.full_like(off, off.flat[0]), off, max(tolerance, 1e-6)):
        return f"is off by the same amount, {off.flat[0]:+.4g}, everywhere: a constant term is missing or too many"
    return None


def _places(expected, got, tolerance):
    """Where it is wrong, if it is right elsewhere."""
    wrong = np.abs(got - expected) > tolerance * np.abs(expected).max()
    if 0 < np.count_nonzero(expected) < expected.size and np.array_equal(got == 0, expected != 0):
        return "is 0 exactly where it should not be, and not 0 where it should be: a mask the wrong way round?"
    if expected.size < 4 or wrong.all():
        return None
    for words, where in (("0", expected == 0), ("negative", expected < 0), ("positive", expected > 0)):
        if where.any() and np.array_equal(wrong, where):
            return f"{PLACES} it should be {words}"
    for axis, name in ((0, "row"), (1, "column")):
        if expected.ndim == 2 and expected.shape[axis] > 1:
            lines = np.flatnonzero(wrong.any(axis=1 - axis))
            if len(lines) == 1:
                return f"is wrong in {name} {lines[0]} only"
            if np.array_equal(lines, np.arange(1, expected.shape[axis])):
                return f"is right in {name} 0 only"
    return f"is right in {wrong.size - wrong.sum()} of {wrong.size} places"
