"""`scratchvae gradcheck path/to/layer.py:MyLayer`: anyone's class, checked at many shapes, and told what is wrong with it.

See `plain` for what a plain class must keep to; a class built on scratchvae.nn.Module keeps to Module's rules. The file is run, as
Python would run it.
"""

import contextlib
import copy
import difflib
import inspect
import random
import sys
import tokenize
import traceback
import types
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import gate, rng
from ..errors import ConfigError
from ..nn import Module
from .diagnose import CONSTANT, PLACES
from .examine import UNKNOWN, Examination, examine
from .objective import make_inputs, modes
from .plain import PlainLayer, is_layer

# Distinct odd lengths, so that a factor tells which of them it is; then as many inputs as outputs, where a transposed W fits.
TELLING = ((5, 3, 7, 0), (5, 3, 3, 0))
OTHER = (7, 5, 3, 1)  # other lengths and numbers, where what one case showed may be chance
_EXAMPLES, _LARGEST = 30, 5
_ENTRIES = 3000  # of input and parameters together, each of which is moved on its own
_VALUES = 300  # first of the steps of the CHECK stream that parameters' values are drawn from
_INPUTS = (
    "inputs",
    "in_features",
    "input_size",
    "input_dim",
    "in_dim",
    "n_in",
    "n_inputs",
    "fan_in",
    "num_features",
    "features",
)
_OUTPUTS = ("outputs", "out_features", "output_size", "output_dim", "out_dim", "n_out", "n_outputs", "fan_out", "units")


@dataclass
class FileReport:
    """What was found out about a class. str() is for people, to_dict() for JSON."""

    name: str
    path: str
    seed: int
    cases: int = 0  # shapes tried
    method: str = ""
    tensors: tuple = ()
    findings: list = field(default_factory=list)  # of the case that tells most
    smallest: dict = None  # {"B": …, "I": …, "O": …} of the smallest failing case
    examination: Examination = None  # of that case
    notes: list = field(default_factory=list)

    @property
    def ok(self):
        return not self.findings

    def to_dict(self):
        head = {
            "name": self.name,
            "path": self.path,
            "ok": self.ok,
            "seed": self.seed,
            "cases": self.cases,
            "method": self.method,
        }
        case = None
        if self.smallest:
            found = [
                {"tensor": f.tensor, "words": f.words, "expected": _listed(f.expected), "got": _listed(f.got)}
                for f in self.examination.findings
            ]
            case = {
                "sizes": self.smallest,
                "given": {k: _listed(v) for k, v in self.examination.given.items()},
                "findings": found,
            }
        findings = [{"tensor": f.tensor, "words": f.words} for f in self.findings]
        return {**head, "tensors": list(self.tensors), "findings": findings, "smallest": case, "notes": self.notes}

    def __str__(self):
        by = {"complex": "complex steps", "difference": "central differences"}.get(self.method)
        how = f"{self.cases} cases" + (f" by {by}" if by else "") + (f": {', '.join(self.tensors)}" if self.ok else "")
        lines = [f"{self.name} of {self.path}: {'ok' if self.ok else 'FAIL'} ({how}; seed {self.seed})"]
        lines += [f"  {finding}" for finding in self.findings]
        if self.smallest:
            lines += ["", "The smallest case that fails: " + ", ".join(f"{k} = {n}" for k, n in self.smallest.items())]
            lines += [_shown(name, value) for name, value in self.examination.given.items()]
            for f in self.examination.findings:
                if f.expected is not None:
                    lines += [_shown(f"{f.tensor}, yours", f.got), _shown(f"{f.tensor}, measured", f.expected)]
                else:
                    lines.append(f"  {f}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def check_file(target, seed=0, examples=_EXAMPLES):
    """Check the class that "path/to/file.py:MyLayer" names at random shapes → FileReport

    Without ":MyLayer" the file must hold one class with forward and backward. examples: how many random shapes hypothesis may
    try. Raises ConfigError when there is no such file or class, when it cannot be made or measured, and when hypothesis is missing.
    """
    gate.file_path("target", target)
    seed, examples, hypothesis = gate.whole("seed", seed, 0, 2**64 - 1), gate.whole("examples", examples), _hypothesis()
    path, _, name = str(target).rpartition(":") if str(target).rpartition(":")[0].endswith(".py") else (str(target), "", "")
    # What the file prints is not the result, and what overflows is told in words.
    with contextlib.redirect_stdout(sys.stderr), np.errstate(all="ignore"):
        try:
            return _Check(Path(path), name, seed).run(hypothesis, examples)
        except SystemExit as error:
            raise ConfigError(f"{path} ends Python, by SystemExit({error.code}), before it is checked: remove sys.exit from it") from error


class _Check:
    """One class on its way through the cases."""

    def __init__(self, path, name, seed):
        self.path, self.seed, self.tried, self.notes = path, seed, {}, []
        self.cls = _find(_load(path), name, path)
        self.sizes = _sizes(self.cls)

    def run(self, hypothesis, examples):
        report = FileReport(self.cls.__name__, str(self.path), int(self.seed))
        telling = [self.case(case) for case in TELLING]
        if any(_may_be_chance(f) for one in telling for f in one.findings):
            telling.append(self.case(OTHER))
        smallest = self.search(hypothesis, examples)
        report.cases, report.notes = len(self.tried), list(dict.fromkeys(self.notes))
        report.method, report.tensors = telling[0].method, telling[0].tensors
        failed = [*(one for one in telling if one.findings), *([self.case(smallest)] if smallest else [])]
        if not failed:
            report.notes += telling[0].notes
            return report
        report.findings = list(_most_telling([one for one in telling if one.findings] or failed))
        report.examination = failed[-1] if smallest else failed[0]
        _take_back(report.examination.findings, report.findings)
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
            raise ConfigError(f"{words}. {_CONTRACT}") from error
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


_CONTRACT = "A class to check takes (inputs, outputs), one size, or nothing; see scratchvae.checks.plain"


def _hypothesis():
    try:
        import hypothesis
        import hypothesis.strategies  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "checking a file draws its shapes with hypothesis, which is missing: pip install 'scratchvae[test]'"
        ) from error
    return hypothesis


def _load(path):
    """Run a file → its names. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}: name a class as path/to/file.py:MyLayer")
    module = types.ModuleType(f"checked_{path.stem}")
    module.__file__ = str(path)
    folder = str(path.parent.resolve())
    sys.modules[module.__name__] = module  # dataclasses and the like look their module up
    sys.path.append(folder)  # at the end: a file called random.py beside it hides nothing
    try:
        with tokenize.open(path) as file:
            exec(compile(file.read(), str(path), "exec"), vars(module))  # to run it is what we were asked for
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path} could not be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
        sys.modules.pop(module.__name__, None)
    return vars(module)


def _find(names, name, path):
    """The class of that name, or the only one with a forward and a backward. Raises ConfigError."""
    own = f"checked_{path.stem}"
    classes = [n for n, value in names.items() if inspect.isclass(value) and value.__module__ == own and is_layer(value)]
    held = f"it holds {', '.join(classes)}" if classes else "it holds no class with forward and backward"
    if not name:
        if len(classes) != 1:
            raise ConfigError(f"which class of {path}? {held[0].upper()}{held[1:]}; name one as {path}:MyLayer")
        name = classes[0]
    found = names.get(name)
    if found is None:
        close = difflib.get_close_matches(name, classes, 1)
        raise ConfigError(f"{path} has no {name}: " + (f"did you mean {close[0]}?" if close else held))
    if not (inspect.isclass(found) and is_layer(found)):
        raise ConfigError(f"{name} in {path} is not a class with forward and backward; {held}")
    return found


def _sizes(cls):
    """Which arguments of its __init__ are sizes → {"I": name, "O": name}, either or both left out. Raises ConfigError."""
    try:
        arguments = [
            a for a in inspect.signature(cls).parameters.values() if a.kind in (a.POSITIONAL_OR_KEYWORD, a.KEYWORD_ONLY)
        ]
    except (TypeError, ValueError):  # a class without a signature
        return {}
    required = [a.name for a in arguments if a.default is a.empty]
    if len(required) > 2:
        raise ConfigError(f"{cls.__name__}({', '.join(required)}) asks for {len(required)} arguments. {_CONTRACT}")
    if required:
        return dict(zip("IO", required, strict=False))
    named = {a.name.lower(): a.name for a in arguments}
    found = {key: next((named[n] for n in known if n in named), None) for key, known in (("I", _INPUTS), ("O", _OUTPUTS))}
    return {key: name for key, name in found.items() if name}


def _values(start, seed, step):
    """Values to check at, the same in every run: a layer's own may be random, or zeros, at which much is 0.   start: any shape

    Numbers that somebody chose, such as 0, 1 or 0.01, are moved by a little, and stay above 0 if they all were, as scales do; random
    ones are drawn anew.
    """
    noise = rng.normal(seed, rng.CHECK, step, 0, start.size, np.float64)[0].reshape(start.shape)
    if not np.allclose(start, np.round(start, 3), rtol=1e-6, atol=0):
        return 0.5 * noise
    return np.abs(start + 0.3 * noise) + 0.05 if (start > 0).all() else start + 0.3 * noise


def _most_telling(examinations):
    """One Finding for each tensor: the first in words that are of use. A factor, or a place, must be the same in all of them."""
    best = {}
    for one in examinations:
        for f in one.findings:
            if f.tensor not in best or (_vague(best[f.tensor]) and not _vague(f)):
                best[f.tensor] = f
    for f in best.values():
        told = [other.words for one in examinations for other in one.findings if other.tensor == f.tensor]
        if _may_be_chance(f) and told != [f.words] * len(examinations):
            f.words = UNKNOWN
    return best.values()


def _may_be_chance(finding):
    return finding.words.endswith(CONSTANT) or finding.words.startswith(PLACES)


def _take_back(findings, told):
    """Words of a small case that do not hold in the telling ones: one or two numbers look like many mistakes."""
    unknown = {f.tensor for f in told if UNKNOWN in f.words}
    for f in findings:
        if f.tensor in unknown:
            f.words = UNKNOWN


def _vague(finding):
    return any(words in finding.words for words in (UNKNOWN, "is right in", "places", "raised"))


def _listed(value):
    if value is None:
        return None
    array = np.asarray(value)
    return np.where(np.isfinite(array), array, None).tolist() if array.dtype.kind == "f" else repr(value)


def _shown(name, value):
    text = np.array2string(value, precision=5, suppress_small=True) if isinstance(value, np.ndarray) else repr(value)
    return f"  {name} = " + text.replace("\n", "\n" + " " * (len(name) + 5))
