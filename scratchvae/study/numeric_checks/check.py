"""What a numeric check of an equation returns: a claim in words, how far it is from holding, and how far it may be."""

from dataclasses import asdict, dataclass

import numpy as np

ROUNDING = 1e-12  # float64 formulas of a few dozen operations, written in two ways, agree far better than this


@dataclass(frozen=True)
class Check:
    """claim: what was compared with what · error: the largest difference · tolerance: the largest allowed, in the same unit"""

    claim: str
    error: float
    tolerance: float
    unit: str  # "relative to the largest value", "standard errors", …

    @property
    def ok(self):
        return bool(self.error <= self.tolerance)  # False for NaN

    def to_dict(self):
        return {**asdict(self), "ok": self.ok}

    def __str__(self):
        verdict = "holds" if self.ok else "FAILS"
        return f"{verdict}: {self.claim} (off by {self.error:.2g} {self.unit}; at most {self.tolerance:.2g} allowed)"


def equal(claim, computed, expected, tolerance=ROUNDING):
    """The largest |computed − expected|, relative to the largest |expected|. Arrays of any one shape, or numbers."""
    computed, expected = np.asarray(computed), np.asarray(expected)
    scale = np.max(np.abs(expected)) or 1.0
    return Check(claim, float(np.max(np.abs(computed - expected)) / scale), tolerance, "relative to the largest value")


def close(claim, draws, expected, limit=4.0):
    """|mean of the draws − expected| in standard errors: a right formula exceeds 4 once in 16,000 seeds, and the seed is fixed.

    draws (N,) or (N, K): the columns are compared one by one with expected, a number or (K,).
    """
    draws = np.asarray(draws, float)
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    return Check(claim, float(np.max(np.abs(draws.mean(axis=0) - expected) / error)), limit, "standard errors")


def at_most(claim, value, limit=0.0, unit="too much"):
    """value ≤ limit, for claims that are inequalities."""
    return Check(claim, float(value), float(limit), unit)


def all_hold(claim, *checks):
    """One check for several parts of a claim: the one nearest to failing speaks for all."""
    worst = max(checks, key=lambda c: np.inf if not c.ok else c.error / c.tolerance if c.tolerance else 0.0)
    return Check(claim, worst.error, worst.tolerance, worst.unit)
