"""What a check found, for people and for JSON."""

from dataclasses import asdict, dataclass, field
from itertools import groupby

OK, WRONG, TODO, WAITING = "ok", "wrong", "to do", "not reached"


@dataclass
class Finding:
    """One layer of one function: its status and, unless it is ok, why, in words."""

    function: str
    layer: str
    status: str
    words: list = field(default_factory=list)


@dataclass
class Result:
    """The result of `check`. str() is for people, to_dict() for JSON."""

    exercise: str
    file: str
    findings: list
    printed: str = ""  # the first 2,000 characters that the student's file printed
    note: str = ""

    @property
    def ok(self):
        return bool(self.findings) and all(f.status == OK for f in self.findings)

    @property
    def passed(self):
        return sum(f.status == OK for f in self.findings)

    def to_dict(self):
        head = {"exercise": self.exercise, "file": self.file, "ok": self.ok, "passed": self.passed, "layers": len(self.findings)}
        return {**head, "findings": [asdict(f) for f in self.findings], "printed": self.printed, "note": self.note}

    def __str__(self):
        n = len(self.findings)
        verdict = f"solved: all {n} layers pass" if self.ok else f"{self.passed} of {n} layers pass"
        width = max((len(f"{f.function}: {f.layer}") for f in self.findings), default=0)
        lines = [f"{self.exercise}: {verdict}", ""]
        for _, group in groupby(self.findings, lambda f: (f.function, f.words) if f.status == WAITING else id(f)):
            f, *others = group
            first, *rest = f.words or [""]
            name = f"{f.function}: {f.layer}"
            if f.status in (WRONG, TODO):
                lines += [f"  {f.status:11}  {name}", *(f"{'':13}  {line}" for line in (first, *rest))]
            elif f.status == WAITING:  # neighbours that wait for the same thing share a line
                why = "" if first.startswith(f"until {f.function}:") else f"  ({first})"
                lines.append(f"  {f.status:11}  {', '.join([name, *(other.layer for other in others)])}{why}")
            else:
                lines.append(f"  {f.status:11}  {name:{width}}  {first}".rstrip())
        if self.printed:
            lines += ["", "Your file printed:", *(f"  {line}" for line in self.printed.splitlines())]
        return "\n".join([*lines, *(["", self.note] if self.note else [])])
