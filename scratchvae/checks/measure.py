"""One tensor's gradient, as backward wrote it and as forward says it should be; and the verdict."""

from dataclasses import dataclass

import numpy as np

from .. import rng
from .complex_step import complex_step, complex_step_along
from .finite_difference import STEP, central_difference_along, central_differences
from .objective import CHOICE, DIRECTION
from .report import FAIL, Entry

# A sum of a few hundred products rounds at about 1e-14 of its tensor's largest gradient; 1e-12 leaves room for a hundred
# times that and is far below any mistake in a formula. Differences are good to about 1e-9 of it.
TOLERANCES = {"complex": 1e-12, "difference": 1e-6}
KINK = 1e-4  # one-sided slopes that differ by more than this part of the largest are looked at more closely


@dataclass
class Measurement:
    """The chosen entries of one tensor, (K,) each; `along` is one random direction through all of its entries."""

    entry: Entry
    indices: np.ndarray
    analytic: np.ndarray
    numeric: np.ndarray
    kinked: np.ndarray  # True where a kink lies so close that no difference can be trusted
    along: tuple = None  # (analytic, numeric, scale)


def measure(method, objective, name, gradient, sample, number):
    """Measure the tensor `name`, the `number`-th of its module, at no more than `sample` entries → Measurement"""
    theta, flat = objective.tensors[name], gradient.reshape(-1)
    indices, along = np.arange(flat.size), None
    if flat.size > sample:
        order = rng.words(objective.seed, rng.CHECK, CHOICE, number, flat.size)[0]
        indices = np.sort(np.argsort(order, kind="stable")[:sample])
        v = rng.normal(objective.seed, rng.CHECK, DIRECTION, number, flat.size, np.float64)[0]
        slope = complex_step_along if method == "complex" else central_difference_along
        along = float(v @ flat), slope(objective.terms, theta, v), float(np.linalg.norm(flat))
    if method == "complex":
        numeric, kinked = complex_step(objective.terms, theta, indices), np.zeros(len(indices), bool)
    else:
        numeric, kinked = differences_and_kinks(objective.terms, theta, indices)
    entry = Entry(name, gradient.shape, method, len(indices), flat.size)
    return Measurement(entry, indices, flat[indices], numeric, kinked, along)


def differences_and_kinks(f, theta, indices):
    """Central differences, and where a kink spoils them.   theta (N,) · indices (K,) → (K,), (K,) bool

    Where the one-sided slopes differ, the entry is measured again with a tenth of the step. A kink that lay within the
    first step alone is then out of reach, and curvature makes the slopes differ ten times less: in both cases the closer
    value counts. Slopes that still differ have a kink between them, and there is no derivative to compare with.
    """
    numeric, left, right = central_differences(f, theta, indices)
    kinked = np.zeros(len(indices), bool)
    jump = np.abs(right - left)
    suspects = np.flatnonzero(jump > KINK * np.abs([left, right]).max(initial=0))
    if len(suspects):
        numeric[suspects], left, right = central_differences(f, theta, indices[suspects], STEP / 10)
        kinked[suspects] = np.abs(right - left) > 0.15 * jump[suspects]
    return numeric, kinked


def relative_error(analytic, numeric, scale):
    """|a − n| / max(|a|, |n|, scale), 0 where a = n, infinity where either is not finite.

    A gradient is a sum over rows and pixels, and its rounding error is that of its largest terms. Where terms cancel, an
    entry can be far smaller than they are, and no method could agree on its digits: so errors are measured against the
    largest gradient in the same tensor, `scale`, of which 1e-12 is still demanded.
    """
    good = np.isfinite(analytic) & np.isfinite(numeric)
    a, n = np.where(good, analytic, 0), np.where(good, numeric, 0)
    size = np.maximum(np.maximum(np.abs(a), np.abs(n)), scale)
    return np.where(good, np.abs(a - n) / np.where(size > 0, size, 1), np.inf)


def judge(measurements, tolerance):
    """Fill in each Entry.

    The scale of a tensor is its largest measured gradient, or a thousandth of the largest in the whole module: a bias that
    a later layer cancels has a gradient made of rounding errors alone, and no scale of its own.
    """
    largest = [np.abs(m.numeric).max() for m in measurements]
    for m, own in zip(measurements, largest, strict=True):
        scale = max(own, 1e-3 * max(largest))
        errors = relative_error(m.analytic, m.numeric, scale)
        errors = np.where(m.kinked, 0, errors)
        m.entry.kinks = int(m.kinked.sum())
        worst = int(np.argmax(errors))
        m.entry.index = tuple(int(i) for i in np.unravel_index(m.indices[worst], m.entry.shape))
        m.entry.error, m.entry.analytic, m.entry.numeric = (float(a[worst]) for a in (errors, m.analytic, m.numeric))
        failed = not m.entry.error <= tolerance
        if m.along:
            error = float(relative_error(*m.along))
            m.entry.note = f"{m.entry.checked:,} of {m.entry.size:,} drawn; a random direction over all of them: {error:.1e}"
            # A direction moves every entry, so a difference along it may cross kinks that no single entry crosses.
            failed |= not error <= (tolerance if m.entry.method == "complex" else KINK)
        if failed:
            m.entry.verdict = FAIL
