"""The one table: every bug, put through every layer of proof."""

import json
import platform
from functools import cache
from pathlib import Path

import numpy as np

from ...timing import machine
from .bugs import BUGS
from .layers import CAUGHT, LAYERS, NOT_RUN, PASSED, Verdict, examine
from .private_copy import PackageCopy

FILE = Path(__file__).with_name("table.json")
CORRECT = "correct"
MARKS = {CAUGHT: "●", PASSED: "·", NOT_RUN: " "}
OTHER_PROCESSORS = "training carries that on: one made earlier, elsewhere, differs by up to 0.7 nats, mostly by less than 0.1."
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
LEGEND = "● caught · passed, though the changed lines ran; blank: this layer never runs them"


def verdicts(edits=()):
    """One copy through all layers → {layer's name: Verdict}"""
    copy = PackageCopy(edits)
    return {layer.name: examine(layer, copy) for layer in LAYERS}


def museum_table(report=lambda name: None):
    """Every layer on the correct code and on every bug → {row: {layer: Verdict}}, "correct" first.   report(name): before each"""
    table = {}
    for name, edits in [(CORRECT, ()), *((bug.name, bug.edits) for bug in BUGS)]:
        report(name)
        table[name] = verdicts(edits)
    return table


@cache
def shipped():
    """What was computed when this version was made → {"how": …, "table": {row: {layer: Verdict}}, "figures": {row: {…}}}"""
    held = json.loads(FILE.read_text(encoding="utf-8"))
    rows = {row: {layer: Verdict(**v) for layer, v in cells.items()} for row, cells in held["table"].items()}
    return {**held, "table": rows}


def to_dict(table, figures=None):
    """The table as plain data for JSON, with how and where it was computed."""
    where = machine()
    how = {
        "command": "python -m scratchvae.study.museum.make",
        "layers": {layer.name: layer.title for layer in LAYERS},
        "numpy": np.__version__, "python": platform.python_version(), "seed": 0, "cpu": where["cpu"], "blas": where["blas"],
    }  # fmt: skip
    rows = {row: {layer: vars(verdict) for layer, verdict in cells.items()} for row, cells in table.items()}
    return {"how": how, "table": rows, "figures": figures or {}}


def caught_by(cells):
    """The names of the layers that caught a row, in their order."""
    return [layer.name for layer in LAYERS if cells[layer.name].caught]


def as_text(table):
    """The table for a terminal: one column of marks per layer, named below."""
    width = max(map(len, table))
    numbers = [f"{i:>2}" for i in range(1, len(LAYERS) + 1)]
    lines = [f"{'':{width}} {' '.join(numbers)}"]
    for row, cells in table.items():
        lines.append(f"{row:{width}} {' '.join(f' {MARKS[cells[layer.name].status]}' for layer in LAYERS)}".rstrip())
    caught = [sum(cells[layer.name].caught for cells in table.values()) for layer in LAYERS]
    lines += [f"{'caught':{width}} {' '.join(f'{n:>2}' for n in caught)}", "", LEGEND, ""]
    lines += [f"{i:>2}  {layer.name:14} {layer.title}" for i, layer in enumerate(LAYERS, 1)]
    return "\n".join(lines)


def as_markdown(table, figures, how):
    """docs/museum_table.md as text.   how: of to_dict"""
    bugs = {bug.name: bug for bug in BUGS}
    caught = {layer.name: sum(cells[layer.name].caught for cells in table.values()) for layer in LAYERS}
    lines = [
        "---", "orphan: true", "---", "", "# The museum's table", "",
        f"{len(bugs)} bugs that real code had, each planted in a private copy of this package, and put through",
        f"{len(LAYERS)} layers of proof.",
        f"The loss falls for all but {caught['learns']} of them, and a gradient check by differences catches {caught['differences']}.",
        "`scratchvae museum show NAME` tells a bug's story and shows its lines; `scratchvae museum run NAME` trains it beside the",
        "correct code. This page is written by `python -m scratchvae.study.museum.make`.", "",
        "● caught · passed, though the changed lines ran; empty: the layer never runs them.", "",
        "| Bug | " + " | ".join(map(str, range(1, len(LAYERS) + 1))) + " |",
        "|---|" + ":-:|" * len(LAYERS),
    ]  # fmt: skip
    for row, cells in table.items():
        name = f"`{row}`" if row in bugs else "correct code"
        lines.append(f"| {name} | " + " | ".join(MARKS[cells[layer.name].status].strip() for layer in LAYERS) + " |")
    lines += ["| **caught** | " + " | ".join(f"**{caught[layer.name]}**" for layer in LAYERS) + " |", ""]
    lines += [f"{i}. **{layer.title}** (`{layer.name}`)" for i, layer in enumerate(LAYERS, 1)]
    lines += ["", "## What the first layer says that catches each", ""]
    lines += ["| Bug | What is wrong | Layer | What it found |", "|---|---|---|---|"]
    for row, cells in table.items():
        if row in bugs:
            first = caught_by(cells)[0]
            lines.append(f"| `{row}` | {bugs[row].title} | `{first}` | {_cell(cells[first].sentence)} |")
    lines += ["", *_figures(bugs, figures, how)]
    return "\n".join(lines) + "\n"


def _figures(bugs, figures, how):
    """The numbers of the trials, as a table."""
    lines = [
        "## What each says of itself, and what it is worth", "",
        figures["how"], "",
        f"Trained on {how['cpu']} with NumPy {how['numpy']}. Another processor multiplies matrices in another order, rounds otherwise, and",
        OTHER_PROCESSORS, "",
        "| Bug | its log: training | its log: test | its own evaluation | judged | correct code, judged |", "|---|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for row in bugs:
        if row in figures["rows"]:
            f = figures["rows"][row]
            cells = " | ".join(number(f[column]) for column in ("training", "test", "own", "judged", "correct"))
            lines.append(f"| `{row}`{' (stopped)' if f['stopped'] else ''} | {cells} |")
    return lines


def number(value):
    """A figure for people: 105.6, −7.1·10⁶, and words where there is none. Another processor would move the second decimal."""
    if value is None:
        return "not finite"
    if abs(value) < 1e5:
        return f"{value:.{1 if abs(value) >= 10 else 2}f}".replace("-", "−")
    mantissa, _, exponent = f"{value:.1e}".partition("e+")
    return f"{mantissa.replace('-', '−')}·10{str(int(exponent)).translate(SUPERSCRIPT)}"


def _cell(text):
    return text.replace("|", "\\|")
