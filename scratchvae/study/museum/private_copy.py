"""A private copy of this whole package with a few lines changed: where a bug is planted, so that nothing else ever sees it.

Every module is read from its own file, edited if an edit names it, and run into a module object of the copy's own. Imports
inside the copy stay inside: each module gets an `__import__` of its own, which knows the copy's modules and asks Python's for
everything else. sys.modules and the real package are never touched, so there is nothing to undo.
"""

import ast
import builtins
import functools
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ...errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NAME = ROOT.name


@dataclass(frozen=True)
class Edit:
    """Some lines of one function replaced by others.

    file within the package · function, such as "VAE.backward" · old: whole lines, which must stand there exactly once ·
    new: what stands there instead. Both are written without the indentation that they share.
    """

    file: str
    function: str
    old: str
    new: str


class PackageCopy:
    """copy["models.vae"] is the copy's own module of that name, run when it is first asked for.

    `reached` holds the edited functions that have been called so far, as (file, function).
    """

    def __init__(self, edits=()):
        self.edits, self.modules, self.reached = tuple(edits), {}, set()
        self.builtins = {**vars(builtins), "__import__": self._import}
        for edit in self.edits:
            edited(edit.file, self.edits)  # an edit that fits nowhere is an error now, not when the file is first needed

    def __getitem__(self, name):
        return self._load(f"{NAME}.{name}")

    def runs(self, work):
        """Whether work() runs an edited function, or there is none: a layer may leave out what takes long and runs none."""
        before, self.reached = self.reached, set()
        work()
        found, self.reached = self.reached, before | self.reached
        return bool(found) or not self.edits

    def _load(self, name):
        """The module of that full name. Its package is loaded before it and holds it as an attribute, as Python does it."""
        if name in self.modules:
            return self.modules[name]
        package, _, last = name.rpartition(".")
        parent = self._load(package) if package else None
        path = ROOT.joinpath(*name.split(".")[1:])
        is_package = path.is_dir()
        path = path / "__init__.py" if is_package else path.with_suffix(".py")
        if not path.exists():
            raise ModuleNotFoundError(f"the package has no module {name}", name=name)
        module = self.modules[name] = ModuleType(name)
        vars(module).update(__file__=str(path), __package__=name if is_package else package, __builtins__=self.builtins)
        exec(compiled(path.relative_to(ROOT).as_posix(), self.edits), vars(module))
        self._watch(module, path.relative_to(ROOT).as_posix())
        if parent is not None:
            setattr(parent, last, module)
        return module

    def _import(self, name, names=None, local=None, fromlist=(), level=0):
        """What an import statement in the copy calls: `from ..a import b` has level 2, name "a" and fromlist ("b",)."""
        if level:
            parts = names["__package__"].split(".")
            base = ".".join(parts[: len(parts) - level + 1])
            name = f"{base}.{name}" if name else base
        if name.partition(".")[0] != NAME:
            return builtins.__import__(name, names, local, fromlist, 0)
        module = self._load(name)
        for wanted in fromlist or ():
            if not hasattr(module, wanted) and Path(module.__file__).name == "__init__.py":
                self._load(f"{name}.{wanted}")
        return module if fromlist else self._load(NAME)

    def _watch(self, module, file):
        """Put a wrapper around each edited function, which notes that it was called."""
        for edit in self.edits:
            if edit.file != file:
                continue
            *owners, last = edit.function.split(".")
            owner = functools.reduce(getattr, owners, module)
            setattr(owner, last, self._noting(getattr(owner, last), (file, edit.function)))

    def _noting(self, function, key):
        @functools.wraps(function)
        def noted(*arguments, **options):
            self.reached.add(key)
            return function(*arguments, **options)

        return noted


@functools.cache
def _plain_code(file):
    return compile((ROOT / file).read_text(encoding="utf-8"), str(ROOT / file), "exec")


def compiled(file, edits=()):
    """The code object of a file of the package, edited."""
    if not any(edit.file == file for edit in edits):
        return _plain_code(file)
    return compile(edited(file, edits), f"{ROOT / file} (edited)", "exec")


def edited(file, edits):
    """The text of a file of the package after those edits that name it. Raises ConfigError when one does not fit."""
    text = (ROOT / file).read_text(encoding="utf-8")
    for edit in edits:
        if edit.file == file:
            first, last = function_lines(text, edit.function, file)
            lines = text.splitlines()
            lines[first:last] = replaced(lines[first:last], edit)
            text = "\n".join(lines) + "\n"
    return text


def function_lines(text, function, file):
    """Where a function stands in a module's text, as a slice of its lines."""
    node = ast.parse(text)
    for name in function.split("."):
        found = [n for n in node.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name == name]
        if not found:
            raise ConfigError(f"{file} has no function {function}: has it moved?")
        node = found[0]
    return node.lineno - 1, node.end_lineno


def replaced(lines, edit):
    """The function's lines with `old` replaced by `new`, which takes over its indentation."""
    old, new = (textwrap.dedent(part).strip("\n").splitlines() for part in (edit.old, edit.new))
    places = [
        i for i in range(len(lines) - len(old) + 1) if textwrap.dedent("\n".join(lines[i : i + len(old)])).splitlines() == old
    ]
    if len(places) != 1:
        raise ConfigError(f"the old lines of an edit stand {len(places)} times in {edit.function} of {edit.file}, not once")
    first = places[0]
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    return [*lines[:first], *(indent + line if line else line for line in new), *lines[first + len(old) :]]
