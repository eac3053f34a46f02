"""One piece on show: its story, its lines, and what catches it."""

import textwrap
from dataclasses import dataclass

from .bug import Bug
from .bugs import BUGS, find
from .layers import CAUGHT, LAYERS, PASSED
from .table import as_text, caught_by, number, shipped

WIDTH = 100


@dataclass(frozen=True)
class Exhibit:
    """A bug with its row of the table and the figures of its trial (None where there was nothing to train)."""

    bug: Bug
    verdicts: dict
    figures: dict | None

    def to_dict(self):
        b = self.bug
        verdicts = {name: vars(verdict) for name, verdict in self.verdicts.items()}
        words = {"name": b.name, "title": b.title, "story": b.story, "where": b.where, "note": b.note}
        return {
            **words, "equations": list(b.equations), "urls": list(b.urls), "diff": b.diff(), "verdicts": verdicts, "figures": self.figures,
        }  # fmt: skip

    def __str__(self):
        b = self.bug
        lines = [b.title, f"({b.name})", "", *textwrap.wrap(b.story, WIDTH), "", f"Found in   {b.where}"]
        lines += [f"{'Threads' if i == 0 else '':10} {url}" for i, url in enumerate(b.urls)]
        if b.equations:
            lines.append(f"Breaks     {', '.join(f'E{n}' for n in b.equations)}   (scratchvae explain E{b.equations[0]})")
        if b.note:
            lines += textwrap.wrap(f"Note       {b.note}", WIDTH, subsequent_indent=" " * 11)
        lines += ["", *(f"    {line}" for line in b.diff().split("\n")), "", *report(self.verdicts)]
        if self.figures:
            f = self.figures
            own, judged, correct = (number(f[key]) for key in ("own", "judged", "correct"))
            lines += ["", f"Trained, it says {own} of itself, and is judged {judged}; correct code is {correct}."]
            lines += [f"({f['figure']}; scratchvae museum run {b.name} does it again)"]
        return "\n".join(lines)


def show(name):
    """The bug of that name, with what was computed when this version was made → Exhibit. Raises ConfigError."""
    bug, held = find(name), shipped()
    return Exhibit(bug, held["table"][name], held["figures"]["rows"].get(name))


def catalogue():
    """[(name, title, names of the layers that catch it)] of every bug, in order."""
    table = shipped()["table"]
    return [(bug.name, bug.title, caught_by(table[bug.name])) for bug in BUGS]


def listing():
    """The catalogue and the table, for a terminal."""
    width = max(len(bug.name) for bug in BUGS)
    return "\n".join([*(f"{name:{width}}  {title}" for name, title, _ in catalogue()), "", as_text(shipped()["table"])])


def report(verdicts):
    """One row of the table in words → lines"""
    width = max(len(layer.name) for layer in LAYERS)
    lines = ["Caught by"]
    for name in caught_by(verdicts):
        found = f"  ● {name:{width}}  {verdicts[name].sentence}"
        lines += textwrap.wrap(found, WIDTH, subsequent_indent=" " * (width + 6))
    for head, status in (("Ran the changed lines and saw nothing: ", PASSED), ("Never runs them: ", None)):
        names = [n for n, v in verdicts.items() if v.status == status or status is None and v.status not in (CAUGHT, PASSED)]
        if names:
            lines += textwrap.wrap(head + ", ".join(names), WIDTH, subsequent_indent="    ")
    return lines
