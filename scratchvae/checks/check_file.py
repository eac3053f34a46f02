"""`scratchvae gradcheck path/to/layer.py:MyLayer`: anyone's class, checked at many shapes, and told what is wrong with it.

See `plain` for what a plain class must keep to; a class built on scratchvae.nn.Module keeps to Module's rules. The file is run, as
Python would run it.
"""

import contextlib
import copy
import random
import sys
import traceback

import numpy as np

from .. import gate, rng
from ..errors import ConfigError
from ..nn import Module
from .class_file import CONTRACT, divided, find_class, load, sizes_of
from .examine import examine
from .file_report import FileReport, may_be_chance, most_telling, take_back
from .objective import make_inputs, modes
from .plain import PlainLayer

# Distinct odd lengths, so that a factor tells which of them it is; then as many inputs as outputs, where a transposed W fits.
TELLING = ((5, 3, 7, 0), (5, 3, 3, 0))
OTHER = (7, 5, 3, 1)  # other lengths and numbers, where what one case showed may be chance
_EXAMPLES, _LARGEST = 30, 5
_ENTRIES = 3000  # of input and parameters together, each of which is moved on its own
_VALUES = 300  # first of the steps of the CHECK stream that parameters' values are drawn from


def check_file(target, seed=0, examples=_EXAMPLES):
    """Check the class that "path/to/file.py:MyLayer" names at random shapes → FileReport

    Without ":MyLayer" the file must hold one class with forward and backward. examples: how many random shapes hypothesis may
    try. Raises ConfigError when there is no such file or class, when it cannot be made or measured, and when hypothesis is missing.
    """
    gate.file_path("target", target)
    seed, examples, hypothesis = gate.whole("seed", seed, 0, 2**64 - 1), gate.whole("examples", examples), _hypothesis()
    path, name = divided(target)
    # What the file prints is not the result, and what overflows is told in words.
    with contextlib.redirect_stdout(sys.stderr), np.errstate(all="ignore"):
        try:
            return _Check(path, name, seed).run(hypothesis, examples)
        except SystemExit as error:
            raise ConfigError(f"{path} ends Python, by SystemExit({error.code}), before it is checked: remove sys.exit from it") from error


class _Check:
    """One class on its way through the cases."""

    def __init__(self, path, name, seed):
        self.path, self.seed, self.tried, self.notes = path, seed, {}, []
        self.cls = find_class(load(path), name, path)
        self.sizes = sizes_of(self.cls)

    def run(self, hypothesis, examples):
        report = FileReport(self.cls.__name__, str(self.path), int(self.seed))
        telling = [self.case(case) for case in TELLING]
        if any(may_be_chance(f) for one in telling for f in one.findings):
            telling.append(self.case(OTHER))
        smallest = self.search(hypothesis, examples)
        report.cases, report.notes = len(self.tried), list(dict.fromkeys(self.notes))
        report.method, report.tensors = telling[0].method, telling[0].tensors
        failed = [*(one for one in telling if one.findings), *([self.case(smallest)] if smallest else [])]
        if not failed:
            report.notes += telling[0].notes
            return report
        report.findings = list(most_telling([one for one in telling if one.findings] or failed))
        report.examination = failed[-1] if smallest else failed[0]
        take_back(report.examination.findings, report.findings)
        case = smallest or next(case for case in TELLING if self.case(case).findings)
        report.smallest = {"B": case[0], **{name: case[1 + "IO".index(name)] for name in self.sizes}}
        x = report.examination.given.get("x")
        if x is not None and x.ndim == 2:
            report.smallest.setdefault("I", x.shape[1])
        return report

    def case(self, case, tell=True):
        """(rows, inputs, outputs, which draw) → Examination; in words, or only whether it fails"""
        case = case if "O" in self.sizes else (*case[:2], 1, case[3])
        told, found = self.tried.get(case, (False, None))
        if found is None or (tell and not told and found.findings):
            rows, inputs, outputs, draw = case
            module, width = self.make(inputs, outputs, rows, draw)
            given = self.inputs(module, width, rows, draw)
            sizes = {"B": rows, **({"I": width} if width else {}), **({"O": outputs} if "O" in self.sizes else {})}
            entries = sum(x.size for x in given if x.dtype.kind == "f") + module.buffer.values.size
            if entries > _ENTRIES:
                raise ConfigError(
                    f"{self.cls.__name__} has {module.buffer.values.size:,} parameters at sizes of its own choice: let it take "
                    "(inputs, outputs), or call scratchvae.gradcheck on an instance, which draws a sample of them"
                )
            for training in modes(module, given):
                found = examine(module, given, self.seed, sizes, self.where, tell, training)
                if found.findings:
                    break
            self.tried[case] = tell, found
        return self.tried[case][1]

    def search(self, hypothesis, examples):
        """The smallest failing case that hypothesis comes to, or None."""
        size = hypothesis.strategies.integers(1, _LARGEST)
        cases = hypothesis.strategies.tuples(size, size, size, hypothesis.strategies.integers(0, 3))
        settings = hypothesis.settings(max_examples=examples, database=None, deadline=None, derandomize=False)
        fails = lambda case: bool(self.case(case, tell=False).findings)
        try:
            return hypothesis.find(cases, fails, settings=settings, random=random.Random(self.seed))
        except hypothesis.errors.NoSuchExample:
            return None

    def make(self, inputs, outputs, rows, draw):
        """An instance as a Module with values of ours, and the width of its input. Raises ConfigError."""
        given = [{"I": inputs, "O": outputs}[name] for name in self.sizes]
        try:
            layer = self.cls(**dict(zip(self.sizes.values(), given, strict=True)))
        except Exception as error:
            called = ", ".join(f"{argument}={n}" for argument, n in zip(self.sizes.values(), given, strict=True))
            words = f"{self.cls.__name__}({called}) raised {type(error).__name__}: {error}{self.where(error)}"
            raise ConfigError(f"{words}. {CONTRACT}") from error
        width = inputs if "I" in self.sizes else None
        says = hasattr(layer, "example")
        if isinstance(layer, Module):
            module = layer if layer.buffer is not None else layer.initialise(self.seed, np.float64)
            if width is None and not says and not hasattr(module, "data_size"):
                width = self.width(layer, rows, inputs, [p.shape for _, p in module.parameters()])
        else:
            if width is None and not says:
                width = self.width(layer, rows, inputs, [np.shape(v) for v in getattr(layer, "__dict__", {}).values()])
            module = PlainLayer(layer, *self.inputs(layer, width, rows, draw)).initialise(self.seed, np.float64)
            if module.still:
                self.notes.append(f"held still, for want of a gradient beside it: {', '.join(module.still)}")
        for i, (_, p) in enumerate(module.parameters()):
            p.value[...] = _values(p.value, self.seed, _VALUES + 8 * i + draw)
        return module, width or getattr(module, "data_size", None)

    def inputs(self, layer, width, rows, draw):
        """What forward is given: what the layer's own `example` makes, if it has one. Raises ConfigError."""
        try:
            given = make_inputs(layer, None if hasattr(layer, "example") else width, rows, self.seed * 8 + draw)
            return tuple(x.astype(np.float64) if x.dtype.kind == "f" else x for x in given)
        except Exception as error:
            words = f"{self.cls.__name__}.example(rows={rows}, …) raised {type(error).__name__}: {error}{self.where(error)}"
            raise ConfigError(words) from error

    def width(self, layer, rows, free, shapes):
        """The width of x for a layer that chose its sizes itself: the first at which its forward runs."""
        ends = [n for shape in shapes if len(shape) == 2 for n in shape] + [shape[0] for shape in shapes if len(shape) == 1]
        stated = [layer.inputs] if isinstance(getattr(layer, "inputs", None), int) else []
        for width in dict.fromkeys([*stated, *ends]):
            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                twin = layer.replica(np.float64) if isinstance(layer, Module) else copy.deepcopy(layer)
                twin.forward(self.probe(rows, width))
                return width
        return (stated or [free])[0]

    def probe(self, rows, width):
        return rng.normal(self.seed, rng.CHECK, _VALUES - 1, np.arange(rows), width, np.float64)

    def where(self, error):
        """' at line 7' of the user's own file, or nothing."""
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == str(self.path)]
        return f" at line {lines[-1]}" if lines else ""


def _hypothesis():
    try:
        import hypothesis
        import hypothesis.strategies  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "checking a file draws its shapes with hypothesis, which is missing: pip install 'scratchvae[test]'"
        ) from error
    return hypothesis


def _values(start, seed, step):
    """Values to check at, the same in every run: a layer's own may be random, or zeros, at which much is 0.   start: any shape

    Numbers that somebody chose, such as 0, 1 or 0.01, are moved by a little, and stay above 0 if they all were, as scales do; random
    ones are drawn anew.
    """
    noise = rng.normal(seed, rng.CHECK, step, 0, start.size, np.float64)[0].reshape(start.shape)
    if not np.allclose(start, np.round(start, 3), rtol=1e-6, atol=0):
        return 0.5 * noise
    return np.abs(start + 0.3 * noise) + 0.05 if (start > 0).all() else start + 0.3 * noise
