"""Compute the museum anew: python -m scratchvae.study.museum.make [--check] [BUG …] [DOCS]

Writes table.json beside this file (part of the package), and in DOCS (default: docs beside the package) museum_table.md and
figures/museum.png. Some minutes. With the names of bugs only these are put through the layers and trained; all other rows stay
as they are, and so does the figure. With --check nothing is trained or written: the exit status says whether every verdict and
the page are up to date.
"""

import sys
import tempfile
from pathlib import Path

from ...files import write_json, write_text
from . import table as tables
from .bugs import BUGS, find
from .private_copy import ROOT
from .tour import figures_of, run_all

DOOR = {  # bugs on the picture of the door, each of which passes a gradient check
    "mean-over-pixels": "mean over pixels",
    "relu-on-the-code": "ReLU on the code",
    "noise-of-a-hundredth": "ε times 0.01",
    "sigmoid-twice": "sigmoid twice",
    "kl-sign": "KL subtracted",
}


def page():
    """docs/museum_table.md, from what is shipped."""
    held = tables.shipped()
    return tables.as_markdown(held["table"], held["figures"], held["how"])


def differences():
    """Verdicts that are no longer what table.json says → [text]; computes the whole table."""
    shipped, now = tables.shipped()["table"], tables.museum_table()
    if list(shipped) != list(now):
        return [f"rows: {', '.join(set(shipped) ^ set(now)) or 'in another order'}"]
    return [
        f"{row}, {layer}: {now[row][layer].status}, and the table says {cells[layer].status}"
        for row, cells in shipped.items() for layer in now[row] if layer not in cells or now[row][layer].status != cells[layer].status
    ]  # fmt: skip


def main(arguments):
    check = "--check" in arguments
    names = [bug.name for bug in BUGS if bug.name in arguments]
    docs = Path(next((a for a in arguments if not a.startswith("-") and a not in names), ROOT.parent / "docs"))
    if check:
        stale = differences()
        if not (docs / "museum_table.md").exists() or (docs / "museum_table.md").read_text(encoding="utf-8") != page():
            stale.append(f"{docs / 'museum_table.md'} is not what table.json makes")
        print("\n".join(stale) or "up to date")
        return 1 if stale else 0
    with tempfile.TemporaryDirectory() as folder:
        visits = run_all(folder, lambda name: print(name, flush=True), names or None)
    kept = tables.shipped() if names else {"table": {}, "figures": {"rows": {}}}
    found = {tables.CORRECT: tables.verdicts(), **{name: visit.verdicts for name, visit in visits.items()}}
    table = {**kept["table"], **found}
    figures = figures_of(visits)
    rows = {**kept["figures"]["rows"], **figures["rows"]}
    order = [tables.CORRECT, *(bug.name for bug in BUGS)]
    table, figures["rows"] = ({name: rows[name] for name in order if name in rows} for rows in (table, rows))
    write_json(tables.FILE, tables.to_dict(table, figures))
    tables.shipped.cache_clear()
    write_text(docs / "museum_table.md", page())
    if not names:
        draw_door(visits, docs / "figures" / "museum.png")
    return 0


def draw_door(visits, path):
    """The README's picture: samples of the correct code and of a few bugs."""
    from .figure import draw_door

    chosen = [
        (words, visits[name].wrong, f"caught by {tables.caught_by(visits[name].verdicts)[0]}") for name, words in DOOR.items()
    ]
    says = "Samples of VAEs whose loss falls and whose gradient check passes."
    right = visits[find(next(iter(DOOR))).name].right
    draw_door(right, chosen, path, f"One line wrong\n{says} −ELBO in nats per image: what the code says, and what it is")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
