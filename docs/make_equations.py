"""Collect the equations that the chapters define: python docs/make_equations.py [--check]

Writes scratchvae/study/equations.json (part of the package, so that `scratchvae explain` works anywhere) and equations.md (the
index). With --check nothing is written, and the exit status says whether both are up to date.
"""

import re
import sys
from pathlib import Path

from scratchvae.files import json_rows, write_text

DOCS = Path(__file__).resolve().parent
JSON, INDEX = DOCS.parent / "scratchvae" / "study" / "equations.json", DOCS / "equations.md"
START = re.compile(r"> \*\*E(\d+) · (.+?)\.\*\*$")

HEAD = """# Equations

Every formula that the code computes has one number, and is defined in one place of this book. The docstring of the function that
computes it cites the number in brackets, so a search for `(E17` in `scratchvae/` finds the code of E17;
`scratchvae explain E17` prints the formula, what it means, the code and its test, and checks it numerically. Each has a test of
its own in `tests/test_equations.py`.

Shapes everywhere: a batch has $B$ rows, an image $D$ pixels, a code $L$ latents, a dense layer $I$ inputs and $O$ outputs.
Logarithms are natural, so information is in nats. For a loss $\\mathcal L$, $dY$ is short for $\\partial\\mathcal L/\\partial Y$.

This page is written by `python docs/make_equations.py`.
"""


def chapters():
    """The pages that may define equations, in order."""
    return sorted(DOCS.glob("[0-9][0-9]-*.md"))


def read(path):
    """The equations of one chapter → list of dicts. Raises ValueError for a definition without formula or words."""
    found, lines = [], path.read_text(encoding="utf-8").split("\n")
    for i, line in enumerate(lines):
        if not (match := START.match(line)):
            continue
        body = []
        for other in lines[i + 1 :]:
            if not other.startswith(">"):
                break
            body.append(other[1:].removeprefix(" "))
        parts = "\n".join(body).split("$$")
        words = re.sub(r"\s+", " ", parts[-1]).strip()
        if len(parts) != 3 or parts[0].strip() or not parts[1].strip() or not words:
            raise ValueError(f"{path.name}: E{match[1]} must be one $$ formula $$ and then words")
        found.append({"number": int(match[1]), "name": match[2], "formula": parts[1].strip(), "words": words, "page": path.name})
    return found


def collect():
    """Every equation of the book, by number. Raises ValueError for a number that is defined twice, or left out."""
    found = sorted((e for path in chapters() for e in read(path)), key=lambda e: e["number"])
    numbers = [e["number"] for e in found]
    if numbers != list(range(1, len(numbers) + 1)):
        twice = sorted({n for n in numbers if numbers.count(n) > 1})
        missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
        raise ValueError(f"defined twice: {twice}; missing: {missing}")
    return found


def title(page):
    """The heading of a page."""
    return (DOCS / page).read_text(encoding="utf-8").split("\n")[0].removeprefix("# ")


def outputs():
    """→ {path: text}"""
    found = collect()
    lines = [HEAD, "| | Equation | Defined in |", "|---|---|---|"]
    lines += [f"| E{e['number']} | {e['name']} | [{title(e['page'])}]({e['page']}) |" for e in found]
    return {JSON: json_rows(found), INDEX: "\n".join(lines) + "\n"}


def main():
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{'stale' if '--check' in sys.argv else 'written'}: {path.relative_to(DOCS.parent)}")
        if "--check" not in sys.argv:
            write_text(path, outputs()[path])
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
