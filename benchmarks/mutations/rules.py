"""Mutations by rules over the syntax tree: each changes one place of one file, as a slip of the hand would.

A mutation is known by what it does, not by its line, so that results stay true when lines above it come and go.
"""

import ast
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = {  # room → where it stands, first match counts
    "CUDA glue": ("ops/cuda/*.py", "training/device_step.py", "nn/chain.py"),
    "ops": ("ops/numpy/*.py", "rng.py"),
    "nn": ("nn/*.py", "backend.py"),
    "models": ("models/*.py",),
    "training": ("training/*.py",),
    "evaluate": ("evaluate/*.py",),
    "data": ("data/*.py",),
    "gate": ("gate.py", "errors.py"),
    "checks": ("checks/*.py",),
    "plots": ("plots/*.py",),
    "study": ("study/*.py", "study/numeric_checks/*.py", "study/trace/*.py", "study/exercises/*.py", "study/museum/*.py"),
    "files and workers": ("files.py", "workers.py", "helping.py", "cores.py", "timing.py", "cli/*.py"),
}
NOT = ("data/make_bundled.py", "study/museum/private_copy.py")  # run by hand, and the engine that edits sources itself


@dataclass(frozen=True)
class Mutation:
    """In `file`, bytes start … stop of its text become `new`."""

    room: str
    rule: str
    file: str  # within the repository
    where: str  # function
    line: int
    start: int
    stop: int
    old: str
    new: str
    number: int = 0  # among those that would else be called alike
    means: str = ""

    @property
    def key(self):
        told = (self.rule, self.file, self.where, self.old, self.new, self.number)
        return hashlib.sha256("\0".join(map(str, told)).encode()).hexdigest()[:10]

    def apply(self, text):
        """The file's bytes after the mutation. Raises ValueError if they are not those that it was made from."""
        if text[self.start : self.stop] != self.old.encode():
            raise ValueError(f"{self.file} has changed at line {self.line}")
        return text[: self.start] + self.new.encode() + text[self.stop :]


def files():
    """{room: [path within the repository]} of all that is mutated by rules."""
    package, found, taken = ROOT / "scratchvae", {}, {ROOT / "scratchvae" / name for name in NOT}
    for room, patterns in ROOMS.items():
        paths = sorted({path for pattern in patterns for path in package.glob(pattern)} - taken)
        taken |= set(paths)
        found[room] = [path.relative_to(ROOT).as_posix() for path in paths]
    return found


def room_of(file):
    """The room of any file of the package, CUDA sources too."""
    if file.endswith((".cu", ".cuh")):
        return "CUDA kernels"
    return next((room for room, names in files().items() if file in names), "elsewhere")


def draw(count, seed=0):
    """`count` mutations, as many of each room, and within it of each rule, as there can be. A change of the code changes few of them."""
    rooms, chosen = files(), []
    for i, (room, names) in enumerate(rooms.items()):
        wanted = count * (i + 1) // len(rooms) - count * i // len(rooms)
        by_rule = {}
        lot = lambda mutation: hashlib.sha256(f"{seed} {mutation.key}".encode()).digest()
        for mutation in sorted((m for name in names for m in of_file(room, name)), key=lot):
            by_rule.setdefault(mutation.rule, []).append(mutation)
        queues = sorted(by_rule.values(), key=len)
        for n, queue in enumerate(queues):
            take = min(len(queue), -(-wanted // (len(queues) - n)))
            chosen += queue[:take]
            wanted -= take
    return chosen


def of_file(room, name):
    """Every mutation of a file that the rules allow, in the order of its text."""
    text = (ROOT / name).read_bytes()
    starts = [0]
    for line in text.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    source, seen, found = text.decode(), Counter(), []
    for rule, where, first, last, new in _Finder(source).found:
        start, stop = starts[first[0] - 1] + first[1], starts[last[0] - 1] + last[1]
        old = text[start:stop].decode()
        if old == new:
            continue
        seen[rule, where, old, new] += 1
        found.append(Mutation(room, rule, name, where, first[0], start, stop, old, new, seen[rule, where, old, new]))
    return found


BINARY = {ast.Add: ("signs", "+", "-"), ast.Sub: ("signs", "-", "+"), ast.Mult: ("operands", "*", "/"), ast.Div: ("operands", "/", "*"),
          ast.FloorDiv: ("operands", "//", "*"), ast.Pow: ("operands", "**", "*"), ast.Mod: ("operands", "%", "//")}  # fmt: skip
COMPARE = {ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
           ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"),
           ast.NotIn: ("not in", "in")}  # fmt: skip
TWINS = {"sum": "mean", "mean": "sum", "max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum", "any": "all", "all": "any",
         "floor": "ceil", "ceil": "floor", "ones": "zeros", "zeros": "ones", "zeros_like": "ones_like", "log": "log1p", "exp": "expm1",
         "expm1": "exp", "argmin": "argmax", "argmax": "argmin", "sin": "cos", "cos": "sin"}  # fmt: skip


PLAIN = ("isinstance", "getattr", "hasattr", "setattr", "zip", "whole", "number", "choice")  # swapped, they fail at once


class _Finder(ast.NodeVisitor):
    """(rule, function, first, last, new text) of each mutation; places are (line, byte in it)."""

    def __init__(self, source):
        self.lines, self.found, self.path = source.encode().split(b"\n"), [], []
        self.visit(ast.parse(source))

    def text(self, node):
        lines = self.lines[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"\n".join(lines).decode()

    def add(self, rule, node, new, last=None):
        last = last or node
        place = (node.lineno, node.col_offset), (last.end_lineno, last.end_col_offset)
        self.found.append((rule, ".".join(self.path), *place, new))

    def between(self, rule, left, right, old, new):
        """The operator between two nodes, if it stands there as it is expected."""
        if left.end_lineno == right.lineno:
            line = self.lines[left.end_lineno - 1]
            i = line.find(old.encode(), left.end_col_offset, right.col_offset)
            if i >= 0:
                self.found.append((rule, ".".join(self.path), (left.end_lineno, i), (left.end_lineno, i + len(old)), new))

    # What is no code that computes is left alone
    def visit_JoinedStr(self, node):
        pass

    def visit_Raise(self, node):
        pass

    def visit_Import(self, node):
        pass

    visit_ImportFrom = visit_Import

    def _named(self, node):
        self.path.append(node.name)
        body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        if isinstance(node, ast.ClassDef):
            children = body
        else:  # defaults, not annotations
            children = [*node.args.defaults, *filter(None, node.args.kw_defaults), *body]
        for child in children:
            self.visit(child)
        self.path.pop()

    visit_FunctionDef = visit_ClassDef = _named

    def visit_Module(self, node):
        for child in node.body[1:] if ast.get_docstring(node) is not None else node.body:
            if not (isinstance(child, ast.Assign) and self.text(child.targets[0]) == "__all__"):
                self.visit(child)

    def visit_AnnAssign(self, node):
        if node.value:
            self.visit(node.value)

    def visit_BinOp(self, node):
        if type(node.op) in BINARY and not _is_text(node.left) and not _is_text(node.right):
            rule, old, new = BINARY[type(node.op)]
            self.between(rule, node.left, node.right, old, new)
            if isinstance(node.op, (ast.Sub, ast.Div)) and "\n" not in self.text(node):
                self.add("swapped operands", node, f"{self._closed(node.right)} {old} {self._closed(node.left)}")
        self.generic_visit(node)

    def _closed(self, node):
        text = self.text(node)
        return text if isinstance(node, (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript)) else f"({text})"

    def visit_AugAssign(self, node):
        if type(node.op) in BINARY:
            rule, old, new = BINARY[type(node.op)]
            self.between(rule, node.target, node.value, f"{old}=", f"{new}=")
        self.add("dropped statement", node, "pass")
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            self.add("signs", node, self._closed(node.operand))
        if isinstance(node.op, ast.Not):
            self.add("conditions", node, self._closed(node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node):
        value = node.value
        if isinstance(value, bool):
            self.add("constants", node, str(not value))
        elif isinstance(value, int):
            self.add("constants", node, str(value + 1))
        elif isinstance(value, float):
            self.add("constants", node, f"{value * 2!r}" if value else "1.0")

    def visit_Subscript(self, node):
        self.visit(node.value)
        index = node.slice
        for part in index.elts if isinstance(index, ast.Tuple) else [index]:
            for bound in (part.lower, part.upper) if isinstance(part, ast.Slice) else [part]:
                if bound is None:
                    continue
                if isinstance(bound, (ast.Name, ast.BinOp)) and isinstance(part, ast.Slice):
                    self.add("off by one", bound, f"{self._closed(bound)} + 1")
                self.visit(bound)

    def visit_Compare(self, node):
        if len(node.ops) == 1 and type(node.ops[0]) in COMPARE:
            self.between("comparisons", node.left, node.comparators[0], *COMPARE[type(node.ops[0])])
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        self.between("conditions", node.values[0], node.values[1], f" {old} ", f" {new} ")
        self.generic_visit(node)

    def visit_If(self, node):
        if len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and not node.orelse:
            self.add("dropped check", node.test, "False")
        self.generic_visit(node)

    def visit_IfExp(self, node):
        if "\n" not in self.text(node):
            self.add("conditions", node, f"{self.text(node.orelse)} if {self.text(node.test)} else {self.text(node.body)}")
        self.generic_visit(node)

    def visit_Assign(self, node):
        if all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets):
            self.add("dropped statement", node, "pass")
        self.generic_visit(node)

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Call):
            self.add("dropped statement", node, "pass")
        if not _is_text(node.value):
            self.generic_visit(node)

    def visit_Dict(self, node):
        merged = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
        if len(merged) == 2 and len(node.keys) == 2:
            self.add("defaults", node, f"{{**{self._closed(merged[1])}, **{self._closed(merged[0])}}}")
        self.generic_visit(node)

    def visit_Call(self, node):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in TWINS and (isinstance(node.func, ast.Attribute) or name in ("min", "max", "any", "all")):
            start = node.func.end_col_offset - len(name)
            place = (node.func.end_lineno, start), (node.func.end_lineno, node.func.end_col_offset)
            self.found.append(("sums and means", ".".join(self.path), *place, TWINS[name]))
        a = node.args
        if len(a) >= 2 and not any(isinstance(arg, (ast.Starred, ast.GeneratorExp)) or _is_text(arg) for arg in a[:2]):
            first, second = self.text(a[0]), self.text(a[1])
            if "\n" not in first + second and name not in PLAIN:
                self.add("swapped arguments", a[0], f"{second}, {first}", last=a[1])
        for n, keyword in enumerate(node.keywords):
            if keyword.arg is None:
                continue
            if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant) and keyword.value.value in (0, 1):
                self.add("wrong axis", keyword.value, str(1 - keyword.value.value))
            elif keyword.arg not in ("strict", "match", "name", "help", "description", "metavar", "encoding", "prog") and (n or a):
                self._drop(keyword)
        for child in (node.func, *a, *(k.value for k in node.keywords if k.arg != "axis")):
            self.visit(child)

    def _drop(self, keyword):
        """Leave out a keyword argument, with the comma before it, so that the default counts."""
        line = self.lines[keyword.lineno - 1]
        comma = line.rfind(b",", 0, keyword.col_offset)
        if comma >= 0 and not line[comma + 1 : keyword.col_offset].strip():
            place = (keyword.lineno, comma), (keyword.end_lineno, keyword.end_col_offset)
            self.found.append(("defaults", ".".join(self.path), *place, ""))


def _is_text(node):
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)))
