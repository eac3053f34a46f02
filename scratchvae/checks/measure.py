"""One tensor's gradient, as backward wrote it and as forward says it should be; and the verdict."""

from dataclasses import dataclass

import numpy as np

from .. import rng
from .complex_step import complex_step, complex_step_along
from .finite_difference import STEP, central_difference_along, central_differences
from .objective import CHOICE, DIRECTION
from .report import FAIL, Entry

# A sum of a few hundred products rounds at about 1e-14 of its tensor's largest gradient; 1e-12 leaves room for a
# hundred times that and is far below any mistake in a formula. Differences are good to about 1e-9 of it.
TOLERANCES = {"complex": 1e-12, "difference": 1e-6}
# What is left of terms that cancel, as of a bias before batch norm, is rounding: other steps bring out other digits of
# it. An error of this many times what they differ by says nothing.
OTHER_STEPS, ROUNDING = (3e-41, 7e-41, 1.3e-40), 20
LOST = 1e-4  # of a slope: far above what a difference is off by, far below what losing an imaginary part does
# a random direction moves every entry, so a difference along it may cross kinks that no single entry does
KINKS_ALONG = 1e-4


@dataclass
class Measurement:
    """The chosen entries of one tensor, (K,) each; `along` is one random direction through all of its entries.

    `rounding` and `rounding_along`: how far their measured slopes are off by rounding alone, where backward disagrees.
    """

    entry: Entry
    indices: np.ndarray
    analytic: np.ndarray
    numeric: np.ndarray
    kinked: np.ndarray  # True where a kink lies so close that no difference can be trusted
    along: tuple = None  # (analytic, numeric, scale)
    rounding: float = 0.0
    rounding_along: float = 0.0


def measure(method, objective, name, gradient, sample, number):
    """Measure the tensor `name`, the `number`-th of its module, at no more than `sample` entries → Measurement"""
    theta, flat = objective.tensors[name], gradient.reshape(-1)
    indices, along, rounding, rounding_along = np.arange(flat.size), None, 0.0, 0.0
    if flat.size > sample:
        order = rng.words(objective.seed, rng.CHECK, CHOICE, number, flat.size)[0]
        indices = np.sort(np.argsort(order, kind="stable")[:sample])
        v = rng.normal(objective.seed, rng.CHECK, DIRECTION, number, flat.size, np.float64)[0]
        slope = complex_step_along if method == "complex" else central_difference_along
        along = float(v @ flat), slope(objective.terms, theta, v), float(np.linalg.norm(flat))
        if method == "complex" and not relative_error(*along) <= TOLERANCES[method]:
            rounding_along = _spread(along[1], [slope(objective.terms, theta, v, h) for h in OTHER_STEPS])
    if method == "complex":
        numeric, kinked = complex_step(objective.terms, theta, indices), np.zeros(len(indices), bool)
        off = relative_error(flat[indices], numeric, np.abs(numeric).max())
        if (suspects := np.flatnonzero(~(off <= TOLERANCES[method]))[:20]).size:
            again = [complex_step(objective.terms, theta, indices[suspects], h) for h in OTHER_STEPS]
            rounding = _spread(numeric[suspects], again)
    else:
        numeric, kinked = differences_and_kinks(objective.terms, theta, indices, flat[indices])
    entry = Entry(name, gradient.shape, method, len(indices), flat.size)
    return Measurement(entry, indices, flat[indices], numeric, kinked, along, rounding, rounding_along)


def _spread(slopes, others):
    """The largest difference from these slopes of the same ones by other steps."""
    return float(np.nan_to_num(max(np.abs(other - slopes).max() for other in others), nan=0, posinf=0))


def lost_step(real, stepped, names):
    """The first tensor along which forward in complex numbers has another slope than in real ones → (name, v,
    difference, step) or None.

    real, stepped: Objectives in float64 and complex128 · a forward that uses abs, var or a comparison may drop the
    imaginary part on the way and go on: then a backward that forgets the same path agrees with it. One random direction
    v per tensor, away from kinks.
    """
    found = []
    for number, name in enumerate(names):
        theta, f = real.tensors[name], real.terms
        v = rng.normal(real.seed, rng.CHECK, DIRECTION, number, theta.size, np.float64)[0]
        step = complex_step_along(stepped.terms, stepped.tensors[name], v)
        kept, middle = theta.copy(), f()
        theta += STEP * v
        right = (f() - middle).sum() / STEP
        theta[:] = kept - STEP * v
        left = (middle - f()).sum() / STEP
        theta[:] = kept
        found.append((name, v, (left + right) / 2, step, abs(right - left)))
    largest = max((abs(central) for _, _, central, _, _ in found), default=0.0)
    for name, v, central, step, jump in found:
        size = LOST * max(abs(central), abs(step), 1e-3 * largest)
        if jump < size < abs(central - step):
            return name, v, central, step
    return None


def differences_and_kinks(f, theta, indices, analytic):
    """Central differences, and where a kink spoils them.   theta (N,) · indices, analytic (K,) → (K,), (K,) bool

    Where backward disagrees and the slopes to the left and right differ by enough to explain it, the entry is measured
    again with a tenth and a hundredth of the step, which brings out of reach a kink that lies beside the point, and the
    value nearest to backward's counts (a wrong backward is near none). Slopes that differ still, where curvature would
    have made them differ ten times less with each step, have a kink between them: there is no derivative to compare
    with.
    """
    numeric, left, right = central_differences(f, theta, indices)
    enough = TOLERANCES["difference"] * np.abs(numeric).max()
    jump, off = np.abs(right - left), np.abs(analytic - numeric)
    suspects = np.flatnonzero((off > enough) & (jump > 0.01 * off))
    kinked, jump = np.zeros(len(indices), bool), jump[suspects]
    for step in (STEP / 10, STEP / 100):
        closer, left, right = central_differences(f, theta, indices[suspects], step)
        off = np.abs(analytic - numeric)[suspects]
        numeric[suspects] = np.where(np.abs(closer - analytic[suspects]) < off, closer, numeric[suspects])
        off = np.abs(analytic - numeric)[suspects]
        before, jump = jump, np.abs(right - left)
        kinked[suspects] = (off > enough) & (jump > 0.5 * before)
    return numeric, kinked


def relative_error(analytic, numeric, scale):
    """|a − n| / max(|a|, |n|, scale), 0 where a = n, infinity where either is not finite.

    A gradient is a sum over rows and pixels, and its rounding error is that of its largest terms. Where terms cancel,
    an entry can be far smaller than they are, and no method could agree on its digits: so errors are measured against
    the largest gradient in the same tensor, `scale`, of which 1e-12 is still demanded.
    """
    good = np.isfinite(analytic) & np.isfinite(numeric)
    a, n = np.where(good, analytic, 0), np.where(good, numeric, 0)
    size = np.maximum(np.maximum(np.abs(a), np.abs(n)), scale)
    return np.where(good, np.abs(a - n) / np.where(size > 0, size, 1), np.inf)


def judge(measurements, tolerance):
    """Fill in each Entry.

    The scale of a tensor is its largest measured gradient, or a thousandth of the largest in the whole module, or what
    makes its rounding errors tolerable: a bias that a later layer cancels has a gradient made of these alone, and no
    scale of its own.
    """
    largest = [np.abs(m.numeric).max() for m in measurements]
    for m, own in zip(measurements, largest, strict=True):
        scale = max(own, 1e-3 * max(largest), ROUNDING * m.rounding / tolerance)
        errors = relative_error(m.analytic, m.numeric, scale)
        errors = np.where(m.kinked, 0, errors)
        m.entry.kinks = int(m.kinked.sum())
        worst = int(np.argmax(errors))
        m.entry.index = tuple(int(i) for i in np.unravel_index(m.indices[worst], m.entry.shape))
        m.entry.error, m.entry.analytic, m.entry.numeric = (float(a[worst]) for a in (errors, m.analytic, m.numeric))
        failed = not m.entry.error <= tolerance
        if own == 0 and not failed:
            m.entry.note = "every gradient is 0 here (dead units?): not put to the test; try another x or seed"
        if m.along:
            scale = max(m.along[2], ROUNDING * m.rounding_along / tolerance)
            error = float(relative_error(*m.along[:2], scale))
            m.entry.note = (
                f"{m.entry.checked:,} of {m.entry.size:,} drawn; a random direction over all of them: {error:.1e}"
            )
            failed |= not error <= (tolerance if m.entry.method == "complex" else KINKS_ALONG)
        if failed:
            m.entry.verdict = FAIL
