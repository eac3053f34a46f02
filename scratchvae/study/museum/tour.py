"""Running pieces of the museum: trials, figures and fresh verdicts."""

from dataclasses import dataclass
from pathlib import Path

from ...files import make_folder, write_json, write_text
from . import table as tables
from .bug import Bug
from .bugs import BUGS, find
from .clock import Device, time_step
from .exhibit import report
from .trial import HOW, JUDGE, Trial, pair

ROWS = {
    "training": "training loss, last epoch",
    "test": "test loss in the log",
    "own": "its own evaluation",
    "judged": "judged",
}


@dataclass
class Visit:
    """A bug, run: verdicts computed now; both trials, or for a clock the two times; the figure's path or None."""

    bug: Bug
    verdicts: dict
    right: Trial | None = None
    wrong: Trial | None = None
    times: dict | None = None
    path: Path | None = None

    @property
    def figures(self):
        """The numbers of the trials, or None."""
        return {**self.wrong.to_dict(), "correct": self.right.judged} if self.wrong else None

    def to_dict(self):
        verdicts = {name: vars(verdict) for name, verdict in self.verdicts.items()}
        path = str(self.path) if self.path else None
        return {"name": self.bug.name, "figures": self.figures, "times": self.times, "verdicts": verdicts, "figure": path}

    def __str__(self):
        lines = [self.bug.title, ""]
        if self.times:
            lines += ["Fourteen kernels of 100 µs on a make-believe device"]
            lines += [f"  {who:12} {took:,.0f} µs" for who, took in self.times.items()]
        else:
            rows = [("", "correct", "with the bug")]
            rows += [
                (words, *(tables.number(getattr(trial, key)) for trial in (self.right, self.wrong)))
                for key, words in ROWS.items()
            ]
            lines += [f"{a:26}{b:>14}{c:>16}" for a, b, c in rows]
            lines += [f"stopped: {self.wrong.stopped}"] if self.wrong.stopped else []
            lines += [f"({self.wrong.figure}; judged: its network by the correct formulas)"]
        lines += ["", *report(self.verdicts)]
        return "\n".join(lines + (["", f"Figure: {self.path}"] if self.path else []))


def run(name, folder=None):
    """Train the bug beside the correct code, and put it through every layer → Visit. With a folder, draws NAME.png into it.

    Some 5 to 20 seconds on two cores. Raises ConfigError for a name that there is not.
    """
    bug = find(name)
    if folder is not None and bug.model != "clock":
        make_folder(folder)  # before the work, which is lost where it cannot be made
    visit = Visit(bug, tables.verdicts(bug.edits))
    if bug.model == "clock":
        kernels, wrong = [100.0] * 14, bug.plant()["study.museum.clock"]
        visit.times = {"correct": time_step(Device(), kernels), "with the bug": wrong.time_step(wrong.Device(), kernels)}
        return visit
    visit.right, visit.wrong = pair(bug)
    if folder is not None:
        from .figure import draw_pair

        visit.path = Path(folder) / f"{name}.png"
        draw_pair(visit.right, visit.wrong, visit.path, f"{bug.title}\n{HOW[bug.model]} {JUDGE}")
    return visit


def run_all(folder, report=lambda name: None, names=None):
    """Run every bug, or those of these names, and write figures, table.txt and museum.json into a folder → {name: Visit}.

    report(name): before each
    """
    folder, visits = Path(folder), {}
    for name in names or [bug.name for bug in BUGS]:
        report(name)
        visits[name] = run(name, folder)
    table = {tables.CORRECT: tables.verdicts(), **{name: visit.verdicts for name, visit in visits.items()}}
    write_text(folder / "table.txt", tables.as_text(table) + "\n")
    write_json(folder / "museum.json", tables.to_dict(table, figures_of(visits)))
    return visits


def figures_of(visits):
    """The numbers of all trials as plain data, with how they were had."""
    rows = {name: visit.figures for name, visit in visits.items() if visit.figures}
    return {"how": " ".join([*HOW.values(), JUDGE]), "rows": rows}
