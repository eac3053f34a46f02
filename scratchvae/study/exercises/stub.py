"""The file that a student starts from: the solution without its answers, so that the two never differ in anything else."""

import ast
import re
import textwrap

from .ladder import NAMES, solution, task

MARK = "# scratchvae exercise: "
KERNEL = re.compile(r"(__global__ void (\w+)\([^)]*\) {\n).*?^(?=}$)", re.DOTALL | re.MULTILINE)


def stub(name):
    """The text of the file: docstring, signatures, shapes, and the hints at its end."""
    exercise, text = task(name), KERNEL.sub(r"\1  // write \2 here\n", solution(name))
    lines = text.splitlines()
    for function in reversed(list(_to_write(ast.parse(text), exercise.WRITE))):
        docstring, last = function.body[0], function.end_lineno
        indent = " " * docstring.col_offset
        lines[docstring.end_lineno : last] = [f'{indent}raise NotImplementedError("write {function.name} here")']
    formulas = "The formula has the number" if len(exercise.EQUATIONS) == 1 else "The formulas have the numbers"
    hints = [
        "", "",
        f"# When it is written, in the folder of this file:   scratchvae exercise check {name}.py",
        f"# {formulas} {', '.join(exercise.EQUATIONS)} in docs/equations.md.",
        "#",
        "# Hints. Read one, try again, and only then read the next.",
    ]  # fmt: skip
    for number, hint in enumerate(exercise.HINTS, 1):
        hints += ["#", *textwrap.wrap(hint, 116, initial_indent=f"# {number}. ", subsequent_indent="#    ")]
    head = f"{MARK}{name} ({NAMES.index(name) + 1} of {len(NAMES)})"
    return "\n".join([head, *lines, *hints]) + "\n"


def _to_write(tree, names):
    """The functions, and the methods of classes, that the student is to write, from top to bottom."""
    for node in tree.body:
        if getattr(node, "name", None) in names:
            yield from ([node] if isinstance(node, ast.FunctionDef) else (n for n in node.body if isinstance(n, ast.FunctionDef)))
