"""The book's equations bound to the code: what each says, which functions compute it, where it is tested, and whether it holds.

An equation is defined once, in a chapter of docs/, as a quotation that begins with its number:

    > **E17 · Bernoulli likelihood from logits.**
    > $$-\\log p(x \\mid a) = …$$
    > In words …

`python docs/make_equations.py` collects them into equations.json, which is part of the package. A function cites an equation by
naming its number in brackets in its docstring, as all of ours do; the citations are found by reading the source.
"""

import ast
import difflib
import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from ..errors import ConfigError
from .numeric_checks import CHECKS, Check

PACKAGE = Path(__file__).resolve().parent.parent
# (E4), (E13, E14), (E24 to E30), (E5, E6–E12), (E14 + E16), (E29; Kingma & Ba, 2015)
CITATION = re.compile(r"\((E\d+(?:(?:, | to |–| and | \+ )E\d+)*)(?=[;)])")
# Folders that talk about the code rather than being it: they may cite, and explain does not list them.
ABOUT = ("study.exercises", "study.museum", "study.trace")
# Where a formula is computed, from the ground up: explain prints the source of the lowest room that cites it.
GROUND_UP = ("rng", "ops.numpy", "ops.cuda", "nn", "models", "training", "evaluate", "checks", "study", "plots")


@dataclass(frozen=True)
class Equation:
    """number · name · formula in LaTeX · words: what it means · page: the chapter that defines it"""

    number: int
    name: str
    formula: str
    words: str
    page: str


@dataclass(frozen=True)
class Citation:
    """A function, class or module that cites equations: its dotted name, where it stands, its docstring's first line, its source."""

    name: str
    kind: str  # "function", "class" or "module"
    file: str
    line: int
    summary: str
    source: str
    numbers: tuple


@dataclass(frozen=True)
class Entry:
    """One equation with all that is bound to it."""

    equation: Equation
    code: tuple
    test: str
    check: Check

    def to_dict(self):
        code = [{"name": c.name, "file": c.file, "line": c.line, "summary": c.summary} for c in self.code]
        return {**asdict(self.equation), "code": code, "test": self.test, "check": self.check.to_dict()}

    def __str__(self):
        e = self.equation
        lines = [f"E{e.number} · {e.name}", "", *_indented(e.formula), "", *_indented(e.words), "", "Code"]
        lines += [f"    {c.name}  ({c.file}:{c.line})\n        {c.summary}" for c in self.code]
        for c in _computing(self.code):
            lines += ["", *_indented(c.source)]
        lines += ["", "Book   docs/" + e.page, "Test   " + self.test, f"Check  {self.check}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Explanation:
    """What `explain` found: the equation asked for, or every equation that the function asked for cites."""

    query: str
    entries: tuple

    @property
    def ok(self):
        return all(entry.check.ok for entry in self.entries)

    def to_dict(self):
        return {"query": self.query, "ok": self.ok, "equations": [entry.to_dict() for entry in self.entries]}

    def __str__(self):
        return "\n\n\n".join(map(str, self.entries))


def explain(name_or_number):
    """"E17", "17", 17, or a function's or class's name, such as "bernoulli_nll" → Explanation, its numeric checks run

    Raises ConfigError for a number or a name that stands for no equation.
    """
    query = str(name_or_number).strip()[:100]
    if match := re.fullmatch(r"[Ee]?(\d+)", query):
        numbers = [int(match[1])]
        if numbers[0] not in equations():
            raise ConfigError(f"there is no equation E{numbers[0]}: the book has E1 to E{max(equations())}")
    else:
        named = [c for c in citations() if c.kind != "module" and f".{c.name}".endswith(f".{query}")]
        numbers = sorted({n for c in named for n in c.numbers})
        if not numbers:
            names = sorted({c.name.rpartition(".")[2] for c in citations() if c.kind != "module"} - {"__init__"})
            near = difflib.get_close_matches(query, names, 3)
            hint = f"did you mean {', '.join(near)}?" if near else f"give E1 to E{max(equations())}, or a function such as bernoulli_nll"
            raise ConfigError(f"nothing called {query!r} cites an equation: {hint}")
    return Explanation(query, tuple(map(_entry, numbers)))


@cache
def equations():
    """Every equation of the book → {number: Equation}, in order"""
    held = json.loads(Path(__file__).with_name("equations.json").read_text(encoding="utf-8"))
    return {e["number"]: Equation(**e) for e in held}


@cache
def citations():
    """Every docstring in the package that cites an equation, except those of the numeric checks → tuple of Citation"""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name != "numeric_checks":
            found += read_citations(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE))
    return tuple(found)


def read_citations(text, file):
    """The citations in one module's source.   text, file: its path within the package → [Citation]"""
    module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
    found = []

    def visit(node, name):
        kind = {ast.Module: "module", ast.ClassDef: "class"}.get(type(node), "function")
        doc = ast.get_docstring(node)
        if doc and (numbers := cited_numbers(doc)):
            line = getattr(node, "lineno", 1)
            source = ast.get_source_segment(text, node) if kind == "function" else ""
            found.append(Citation(name, kind, f"scratchvae/{file.as_posix()}", line, doc.split("\n")[0], source, numbers))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                visit(child, f"{name}.{child.name}")

    visit(ast.parse(text), module)
    return found


def cited_numbers(text):
    """The numbers that a docstring cites, in order and once each: a range, "to" or "–", counts all between its ends."""
    numbers = []
    for group in CITATION.findall(text):
        for part in re.split(r", | and | \+ ", group):
            ends = [int(n) for n in re.findall(r"\d+", part)]
            numbers += range(ends[0], ends[-1] + 1)
    return tuple(dict.fromkeys(numbers))


def _entry(number):
    code = [c for c in citations() if number in c.numbers and c.kind != "module" and not c.name.startswith(ABOUT)]
    check = CHECKS[number]
    return Entry(equations()[number], tuple(sorted(code, key=_height)), f"tests/test_equations.py::test_{check.__name__}", check())


def _height(citation):
    return next((i for i, room in enumerate(GROUND_UP) if citation.name.startswith(room + ".")), len(GROUND_UP))


def _computing(code):
    lowest = min(map(_height, code), default=0)
    return [c for c in code if c.kind == "function" and _height(c) == lowest]


def _indented(text):
    return [f"    {line}".rstrip() for line in text.split("\n")]
