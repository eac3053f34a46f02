"""Run the book: python docs/run_blocks.py [--write] [chapter.md …]

The ```python blocks of a chapter run in order, in one namespace and in a folder of their own. What a block prints must be the
```text block after it: the same words, and numbers within 3 % or one unit of the last digit shown (another processor rounds
otherwise, and training amplifies it). --write puts what was printed into the chapter.
"""

import io
import re
import sys
import tempfile
import textwrap
import time
from contextlib import chdir, redirect_stdout
from pathlib import Path

from scratchvae.files import write_text

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$(?:\n\n^\1```text\n(.*?)^\1```$)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def chapters():
    """Every page with code, in order."""
    return [DOCS / "index.md", *sorted(DOCS.glob("[0-9][0-9]-*.md")), DOCS / "own-modules.md"]


def run(path):
    """→ a list of (line, what a block printed, what the chapter shows), after running every block of a chapter."""
    text, namespace, found = path.read_text(encoding="utf-8"), {"__name__": "__main__"}, []
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for match in BLOCK.finditer(text):
            line = text[: match.start()].count("\n") + 2
            out = io.StringIO()
            code = compile("\n" * (line - 1) + textwrap.dedent(match[2]), str(path), "exec")  # errors name the chapter's own lines
            with redirect_stdout(out):
                exec(code, namespace)
            found.append((line, out.getvalue(), match[3] or ""))
    return found


def same(printed, shown):
    """Do two outputs agree in every word, and in every number as far as can be asked?"""
    if [line.split() for line in NUMBER.sub("#", printed).split("\n")] != [line.split() for line in NUMBER.sub("#", shown).split("\n")]:
        return False
    return all(map(_near, NUMBER.findall(printed), NUMBER.findall(shown)))


def _near(a, b):
    place = max(10.0 ** -len(re.sub(r"e.*", "", n).partition(".")[2]) for n in (a, b)) if "e" not in a + b else 0
    x, y = (float(n.replace(",", "").replace("−", "-")) for n in (a, b))
    return abs(x - y) <= max(0.03 * max(abs(x), abs(y)), 1.001 * place, 1e-9)


def write(path, results):
    """Put the printed outputs into the chapter."""
    outputs = iter(results)

    def block(match):
        printed = next(outputs)[1]
        text = f"```python\n{textwrap.dedent(match[2])}```" + (f"\n\n```text\n{printed}```" if printed else "")
        return textwrap.indent(text, match[1])

    write_text(path, BLOCK.sub(block, path.read_text(encoding="utf-8")))


def main(arguments):
    wrong = 0
    for path in [DOCS / a for a in arguments if not a.startswith("-")] or chapters():
        began = time.perf_counter()
        results = run(path)
        if "--write" in arguments:
            write(path, results)
        for line, printed, shown in results:
            if not same(printed, shown) and "--write" not in arguments:
                wrong += 1
                print(f"{path.name}:{line} printed\n{printed}and the chapter shows\n{shown}")
        print(f"{path.name}: {len(results)} blocks, {time.perf_counter() - began:.1f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
