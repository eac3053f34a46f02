"""The student's file: loaded as a module of its own, its functions called on copies, its errors told with its own lines."""

import copy
import difflib
import inspect
import sys
import tokenize
import traceback
import types
import warnings
from pathlib import Path

import numpy as np

TOKEN = "<student>"  # stands for the file in tracebacks, whatever the file is called
_LONGEST = 300  # characters of an error message


class Wrong(Exception):
    """What stops a layer. `words` are lines of plain text; `todo` says that nothing is written yet."""

    def __init__(self, *words, todo=False):
        super().__init__(*words)
        self.words, self.todo = list(words), todo


class Student:
    """A file with functions that somebody is learning to write. After each call, `warned` and `modified` say what it did."""

    def __init__(self, path):
        self.path, self.lines, self.namespace = Path(path), [], {}
        self.warned, self.modified = [], []

    def load(self):
        """Run the file. Raises Wrong when it is not Python, or fails on being loaded."""
        try:
            with tokenize.open(self.path) as file:
                source = file.read()
            self.lines = source.splitlines()
            code = compile(source, TOKEN, "exec")
        except (SyntaxError, ValueError) as error:  # ValueError: bytes that are not text
            raise Wrong(f"this is not Python yet{self._at(getattr(error, 'lineno', None))} ({getattr(error, 'msg', error)})") from None
        module = types.ModuleType("student")
        module.__file__ = str(self.path)
        sys.modules["student"] = module  # dataclasses and the like look their module up
        sys.path.append(str(self.path.parent.resolve()))  # at the end: a file called random.py hides nothing
        self.namespace = vars(module)
        try:
            exec(code, self.namespace)  # to run the student's code is what we are for, and why this is a process of its own
        except BaseException as error:
            raise Wrong(*self.explain(error), "while the file was being loaded, before any function was called") from None

    def find(self, name):
        """The function or class of that name. Raises Wrong when there is none."""
        found = self.namespace.get(name)
        if callable(found):
            return found
        if found is not None:
            raise Wrong(f"{name} should be a function and is {type(found).__name__}")
        close = difflib.get_close_matches(name, [n for n, v in self.namespace.items() if callable(v)], 1)
        raise Wrong(f"there is no {name} in this file" + (f"; there is {close[0]}: is that the one?" if close else ""))

    def call(self, name, arguments, inputs=None, use=None):
        """Call a function on copies of the arguments and return what it returns. Raises Wrong when it raises.

        inputs: the arguments' names, for words · use(function, *arguments): how to call it, where that is not plain
        """
        function, given = self.find(name), copy.deepcopy(arguments)
        inputs = inputs[: len(arguments)] if inputs else [f"argument {i + 1}" for i in range(len(arguments))]
        if use is None:
            self._demand_arguments(name, function, given, inputs)
        with warnings.catch_warnings(record=True) as warned, np.errstate(all="warn", under="ignore"):
            warnings.simplefilter("always")
            try:
                result = use(function, *given) if use else function(*given)
            except NotImplementedError as error:
                raise Wrong(f"{name} is not written yet" + (f" ({error})" if use and str(error) else ""), todo=True) from None
            except Wrong:
                raise
            except BaseException as error:  # SystemExit and KeyboardInterrupt too
                called = ", ".join(describe(n, a) for n, a in zip(inputs, arguments, strict=True))
                raise Wrong(*self.explain(error), f"when called with {called}") from None
        self.warned = [f"{str(w.message)}{self._at(w.lineno if w.filename == TOKEN else None)}" for w in warned
                       if issubclass(w.category, RuntimeWarning)]  # fmt: skip
        self.modified = [n for n, before, after in zip(inputs, arguments, given, strict=True) if not _same(before, after)]
        return result

    def explain(self, error):
        """An exception as lines of text: what, and the student's own line, never ours."""
        places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        line = next((line for file, line in reversed(places) if file == TOKEN), None)
        text = " ".join(str(error).split())[:_LONGEST]
        return [f"{type(error).__name__}{': ' if text else ''}{text}{self._at(line)}"]

    def _at(self, number):
        """' at line 7 of relu.py, `y = x`', or nothing."""
        if not number or number > len(self.lines):
            return ""
        return f", at line {number} of {self.path.name}: `{self.lines[number - 1].strip()[:100]}`"

    def _demand_arguments(self, name, function, given, inputs):
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # a built-in function has none
            return
        try:
            signature.bind(*given)
        except TypeError:
            raise Wrong(f"{name}{signature} cannot be called as {name}({', '.join(inputs)}): keep the arguments it came with") from None


def describe(name, value):
    """'W (3, 2)' or 'lr = 0.1'"""
    if isinstance(value, np.ndarray):
        return f"{name} {value.shape}"
    return f"{name} = {value}" if isinstance(value, (int, float, tuple)) else name


def _same(before, after):
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(_same(before[k], after[k]) for k in before)
    if isinstance(before, np.ndarray):
        return before.shape == after.shape and before.dtype == after.dtype and np.array_equal(before, after, equal_nan=True)
    return callable(before) or before == after
