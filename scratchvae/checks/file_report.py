"""What was found out about a class in a file, for people and for JSON."""

from dataclasses import dataclass, field

import numpy as np

from .diagnose import CONSTANT, PLACES
from .examine import UNKNOWN, Examination


@dataclass
class FileReport:
    """What was found out about a class. str() is for people, to_dict() for JSON."""

    name: str
    path: str
    seed: int
    cases: int = 0  # shapes tried
    method: str = ""
    tensors: tuple = ()
    findings: list = field(default_factory=list)  # of the case that tells most
    smallest: dict = None  # {"B": …, "I": …, "O": …} of the smallest failing case
    examination: Examination = None  # of that case
    notes: list = field(default_factory=list)

    @property
    def ok(self):
        return not self.findings

    def to_dict(self):
        head = {
            "name": self.name,
            "path": self.path,
            "ok": self.ok,
            "seed": self.seed,
            "cases": self.cases,
            "method": self.method,
        }
        case = None
        if self.smallest:
            found = [
                {"tensor": f.tensor, "words": f.words, "expected": _listed(f.expected), "got": _listed(f.got)}
                for f in self.examination.findings
            ]
            case = {
                "sizes": self.smallest,
                "given": {k: _listed(v) for k, v in self.examination.given.items()},
                "findings": found,
            }
        findings = [{"tensor": f.tensor, "words": f.words} for f in self.findings]
        return {**head, "tensors": list(self.tensors), "findings": findings, "smallest": case, "notes": self.notes}

    def __str__(self):
        by = {"complex": "complex steps", "difference": "central differences"}.get(self.method)
        how = f"{self.cases} cases" + (f" by {by}" if by else "") + (f": {', '.join(self.tensors)}" if self.ok else "")
        lines = [f"{self.name} of {self.path}: {'ok' if self.ok else 'FAIL'} ({how}; seed {self.seed})"]
        lines += [f"  {finding}" for finding in self.findings]
        if self.smallest:
            lines += ["", "The smallest case that fails: " + ", ".join(f"{k} = {n}" for k, n in self.smallest.items())]
            lines += [_shown(name, value) for name, value in self.examination.given.items()]
            for f in self.examination.findings:
                if f.expected is not None:
                    lines += [_shown(f"{f.tensor}, yours", f.got), _shown(f"{f.tensor}, measured", f.expected)]
                else:
                    lines.append(f"  {f}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def most_telling(examinations):
    """One Finding for each tensor: the first in words that are of use. A factor, or a place, must be the same in all of
    them."""
    best = {}
    for one in examinations:
        for f in one.findings:
            if f.tensor not in best or (_vague(best[f.tensor]) and not _vague(f)):
                best[f.tensor] = f
    for f in best.values():
        told = [other.words for one in examinations for other in one.findings if other.tensor == f.tensor]
        if may_be_chance(f) and told != [f.words] * len(examinations):
            f.words = UNKNOWN
    return best.values()


def may_be_chance(finding):
    return finding.words.endswith(CONSTANT) or finding.words.startswith(PLACES)


def take_back(findings, told):
    """Words of a small case that do not hold in the telling ones: one or two numbers look like many mistakes."""
    unknown = {f.tensor for f in told if UNKNOWN in f.words}
    for f in findings:
        if f.tensor in unknown:
            f.words = UNKNOWN


def _vague(finding):
    return any(words in finding.words for words in (UNKNOWN, "is right in", "places", "raised"))


def _listed(value):
    if value is None:
        return None
    array = np.asarray(value)
    return np.where(np.isfinite(array), array, None).tolist() if array.dtype.kind == "f" else repr(value)


def _shown(name, value):
    text = np.array2string(value, precision=5, suppress_small=True) if isinstance(value, np.ndarray) else repr(value)
    return f"  {name} = " + text.replace("\n", "\n" + " " * (len(name) + 5))
