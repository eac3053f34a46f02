"""What a layer of proof says about a copy of the package."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CAUGHT, PASSED, NOT_RUN = "caught", "passed", "does not run it"


@dataclass(frozen=True)
class Layer:
    """name · title: what it is, for a heading · claims(copy) yields (holds, number, sentence), the first that fails decides"""

    name: str
    title: str
    claims: Callable


@dataclass(frozen=True)
class Verdict:
    """status: "caught", "passed", or "does not run it" where every claim holds because the changed lines never ran.

    sentence: the claim that failed, or how many held · number: what was measured there, None if nothing finite was
    """

    status: str
    sentence: str
    number: float | None

    @property
    def caught(self):
        return self.status == CAUGHT


def examine(layer, copy):
    """Put a PackageCopy through a layer → Verdict. An error that the copy raises is a catch too, and its text the sentence."""
    copy.reached.clear()
    held = 0
    try:
        with np.errstate(all="ignore"):  # a planted bug may overflow; what comes of it is looked at
            for holds, number, sentence in layer.claims(copy):
                if not holds:
                    return Verdict(CAUGHT, sentence, plain(number))
                held += 1
    except Exception as error:
        return Verdict(CAUGHT, f"{type(error).__name__}: {error}".split("\n")[0], None)
    status = NOT_RUN if copy.edits and not copy.reached else PASSED
    return Verdict(status, f"all {held} claims hold" if held > 1 else f"holds: {sentence}", plain(number))


def plain(number):
    """A number for JSON, which knows neither NaN nor infinity."""
    return float(number) if math.isfinite(number) else None


def near(got, wanted, relative):
    """(holds, worst difference relative to the largest wanted): arrays of one shape, NaN never near."""
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    worst = float(np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-300))
    return worst <= relative, worst
