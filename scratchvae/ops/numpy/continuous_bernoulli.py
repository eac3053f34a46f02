"""The density on [0, 1] for grayscale pixels, where a Bernoulli has only probabilities of 0 and 1 (Loaiza-Ganem & Cunningham, 2019).

Its logarithm is linear in x, as the Bernoulli's is: p(x) = a eᵃˣ / (eᵃ − 1), an exponential that is cut off at 0 and at 1. Around a = 0,
where it is uniform, what stands here are differences of nearly equal numbers: there they are summed as series, with the coefficients of
coth (Abramowitz & Stegun, 1964, 4.5.67). `work` is three scratch arrays (B, D), or of fewer rows: then so many are taken at a time.
"""

import numpy as np

from .real_part import magnitude, positive_part

NEAR = 0.5  # up to here seven terms leave out less than 1e-17; from here on the difference costs three bits
COTH = 1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600
INTEGRAL = tuple(c / (2 * k) for k, c in enumerate(COTH, 1))


def continuous_bernoulli_nll(logits, x, out, work):
    """−log p(x) = Σ_pixels log((eᵃ − 1) / a) − x a (E87).   logits a, x (B, D) → out (B,), nats per image

    log((eᵃ − 1) / a) = max(a, 0) + log((1 − e^−|a|) / |a|), where nothing overflows.
    """
    for part, a, (total, term, small) in _parts(logits, work):
        near = _near(a, small, term)
        np.negative(term, out=total)
        np.expm1(total, out=total)
        total /= term
        np.negative(total, out=total)
        np.log(total, out=total)
        positive_part(a, term)
        total += term
        _horner(small, INTEGRAL, term)
        term *= small
        np.copyto(total, term, where=near)
        np.multiply(x[part], a, out=term)
        total -= term
        np.sum(total, axis=1, out=out[part])
    return out


def continuous_bernoulli_nll_backward(dnll, logits, x, out, work):
    """da = dnll · (E[x] − x) (E88).   dnll (B,) · logits a, x (B, D) → out (B, D)"""
    continuous_bernoulli_mean(logits, out, work)
    out -= x
    out *= dnll[:, None]
    return out


def continuous_bernoulli_mean(logits, out, work):
    """E[x] = 1 / (1 − e^−a) − 1 / a, and ½ at a = 0 (E88).   logits a (B, D) → out (B, D)"""
    for part, a, (far, term, small) in _parts(logits, work):
        near, left = _near(a, small, term), a.real < 0
        mean = out[part]
        np.negative(term, out=far)
        np.expm1(far, out=far)
        np.copyto(mean, 1)
        np.add(far, 1, out=mean, where=left)  # 1 − E[x] of −a, without that difference
        mean /= np.negative(far, out=far)
        mean -= np.divide(1, term, out=term)
        np.negative(mean, out=mean, where=left)
        np.copyto(mean, _horner(small, COTH, term), where=near)
    return out


def _parts(logits, work):
    """(rows, the logits of these rows, the work for them), as many rows at a time as work has."""
    for i in range(0, len(logits), len(work[0])):
        a = logits[i : i + len(work[0])]
        yield slice(i, i + len(a)), a, [array[: len(a)] for array in work]


def _near(a, small, large):
    """Which a are near 0.   Writes to small those that are, else 0; to large |a| of those that are not, else 1"""
    near = np.abs(a.real) < NEAR
    np.copyto(small, 0)
    np.copyto(small, a, where=near)
    magnitude(a, large)
    np.copyto(large, 1, where=near)
    return near


def _horner(a, coefficients, out):
    """½ + Σ_k c_k a^(2k − 1).   a of any shape → out"""
    np.copyto(out, coefficients[-1])
    for c in coefficients[-2::-1]:
        out *= a
        out *= a
        out += c
    out *= a
    out += 0.5
    return out
