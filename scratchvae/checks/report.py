"""What a gradient check found: one Entry per tensor, and the Report that holds them."""

import math
from dataclasses import asdict, dataclass, field

OK, FAIL, STATE = "ok", "FAIL", "state"  # STATE: a Parameter that is not trained, so there is nothing to compare


@dataclass
class Entry:
    """One tensor: how far the written gradient is from the measured one at the entry where they differ most."""

    name: str
    shape: tuple
    method: str = ""  # "complex" or "difference"
    checked: int = 0  # entries looked at one by one
    size: int = 0  # entries there are; the rest is covered by one random direction
    error: float = math.nan  # see `measure.relative_error`
    index: tuple = ()  # where the worst entry is
    analytic: float = math.nan  # what backward wrote there
    numeric: float = math.nan  # what the check measured there
    kinks: int = 0  # entries set aside because a kink lies within the step (by differences only)
    verdict: str = OK
    note: str = ""


@dataclass
class Report:
    """The result of `gradcheck`. str() is a table for people, to_dict() a structure for JSON."""

    name: str
    method: str
    tolerances: dict
    seed: int
    rows: int
    entries: list = field(default_factory=list)

    @property
    def ok(self):
        return bool(self.entries) and all(e.verdict != FAIL for e in self.entries)

    @property
    def worst(self):
        """The largest relative error of any entry; infinity where something could not be measured."""
        return max(
            (math.inf if math.isnan(e.error) else e.error for e in self.entries if e.verdict != STATE), default=math.inf
        )

    def to_dict(self):
        entries = [{k: _plain(v) for k, v in asdict(e).items()} for e in self.entries]
        head = {"name": self.name, "ok": self.ok, "method": self.method, "tolerances": dict(self.tolerances)}
        return {**head, "seed": self.seed, "rows": self.rows, "worst": _plain(self.worst), "entries": entries}

    def __str__(self):
        rows = [("tensor", "shape", "method", "checked", "worst error", "at", "analytic", "numeric", "verdict")]
        rows += [_row(e) for e in self.entries]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        tolerances = ", ".join(f"{method} {value:g}" for method, value in self.tolerances.items())
        title = (
            f"{self.name}: {'ok' if self.ok else 'FAIL'} (tolerance {tolerances}; {self.rows} rows, seed {self.seed})"
        )
        return "\n".join([title, *lines, *(f"{e.name}: {e.note}" for e in self.entries if e.note)])


def _row(e):
    checked = f"{e.checked:,}" if e.checked == e.size else f"{e.checked:,} of {e.size:,}"
    checked += f", {e.kinks} kinks" if e.kinks else ""
    error, analytic, numeric = (
        "" if math.isnan(v) else f"{v:{spec}}"
        for v, spec in ((e.error, ".1e"), (e.analytic, ".6g"), (e.numeric, ".6g"))
    )
    at = ", ".join(map(str, e.index))
    return e.name, "×".join(map(str, e.shape)), e.method, checked, error, at, analytic, numeric, e.verdict


def _plain(value):
    """JSON knows neither NaN nor infinity: both become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value
