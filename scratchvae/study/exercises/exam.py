"""The layers that an answer goes through, and what is said when one does not hold."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ...checks.diagnose import agrees, as_numbers, diagnose
from .result import OK, TODO, WAITING, WRONG, Finding
from .slopes import measured_slope
from .student import Wrong

SHAPES, VALUES, INPUTS, DERIVATIVE, EXTREMES = "shapes and dtypes", "values", "inputs untouched", "derivative", "extreme inputs"
_SINGLE = 1e-5  # float32 holds seven digits; two may go in a sum
_DIFFERENCE = 1e-6  # what a central difference can be trusted to


@dataclass
class Spec:
    """One function to write, and how to judge it."""

    name: str
    inputs: tuple  # names of its arguments
    outputs: tuple  # names of what it returns
    reference: object  # (*arguments) → what it should return: an array, a tuple of them or a dict
    cases: list  # [(sizes such as {"B": 5, "I": 3}, arguments)], the smallest first
    known: object = None  # (*arguments) → {output: [(wrong array, words)]}: typical mistakes of this function
    slope: object = None  # (call, *arguments) → {output: (terms of one array, that array)}: it is the derivative of their sum
    forward: str = ""  # the student's function that `slope` calls
    extremes: tuple = ()  # (words, arguments): must stay finite, and right
    use: object = None  # (function, *arguments) → result, where it is not called plainly
    label: str = ""  # what it is called in words, if not `name`
    chain: bool = False  # outputs come one from the other: only the first wrong one needs words


class Exam:
    """One student's answer on its way through the layers; `report` hears of each finding at once."""

    def __init__(self, student, report=lambda exam, now: None):
        self.student, self.report, self.findings = student, report, []

    def call(self, name, *arguments, inputs=None, use=None):
        return self.student.call(name, arguments, inputs, use)

    def failed(self, function, *layers):
        """The first of these layers (default: any) that this function has failed, as a reason to wait, or None."""
        for f in self.findings:
            if f.function == function and f.status != OK and (not layers or f.layer in layers):
                return f"until {f.function}: {f.layer} passes"
        return None

    def layer(self, function, name, body, wait=None):
        """Run body(), which raises Wrong or returns a remark. wait: why it cannot run yet, or None."""
        self.report(self, [function, name])
        finding = Finding(function, name, WAITING, [wait] if wait else [])
        if wait is None:
            try:
                remark = body()
                finding.status, finding.words = OK, [remark] if remark else []
            except Wrong as wrong:
                finding.status, finding.words = TODO if wrong.todo else WRONG, wrong.words
            except Exception as error:  # shapes were right before: what comes back changes from call to call
                finding.status, finding.words = WRONG, [f"what came back cannot be judged ({type(error).__name__}: {error})"]
        self.findings.append(finding)
        self.report(self, None)

    def examine(self, spec):
        """All layers of one function."""
        label = spec.label or spec.name
        self.layer(label, SHAPES, lambda: self._shapes(spec))
        shapes = self.failed(label, SHAPES)
        self.layer(label, VALUES, lambda: self._values(spec), shapes)
        self.layer(label, INPUTS, lambda: self._inputs(spec), shapes)
        if spec.slope:
            wait = shapes or (self.failed(spec.forward) if spec.forward != label else None)
            self.layer(label, DERIVATIVE, lambda: self._derivative(spec), wait)
        if spec.extremes:
            self.layer(label, EXTREMES, lambda: self._extremes(spec), shapes)

    # The layers -------------------------------------------------------------------------------------------------------

    def _shapes(self, spec):
        for dtype in (np.float64, np.float32):
            failing = {}
            for sizes, arguments in spec.cases:
                arguments = _cast(arguments, dtype)
                expected, got = self._outputs(spec, arguments)
                for name, e, g in zip(spec.outputs, expected, got, strict=True):
                    array = as_numbers(g)
                    if array is None or array.shape != e.shape:
                        known = _known(spec, arguments, name)
                        failing.setdefault(name, []).append((sizes, diagnose(e, g, _lengths(sizes), known)))
                    elif array.dtype != dtype:
                        words = f"is {array.dtype} where the inputs are {np.dtype(dtype)}: keep the dtype of the inputs"
                        failing.setdefault(name, []).append((sizes, words + _where_float64(array)))
            if failing:
                raise Wrong(*(f"{name} {found[-1][1]} (for {_label(found[-1][0])})" for name, found in failing.items()))
        return f"{len(spec.cases)} cases in float64 and float32"

    def _values(self, spec):
        failing = {}
        for sizes, arguments in spec.cases:
            expected, got = self._outputs(spec, arguments)
            for name, e, g in zip(spec.outputs, expected, got, strict=True):
                if not agrees(e, g):
                    failing.setdefault(name, []).append((sizes, arguments, e, np.asarray(g)))
        if failing and spec.chain:
            first = next(name for name in spec.outputs if name in failing)
            right = [name for name in spec.outputs if name not in failing]
            later = [name for name in failing if name != first]
            raise Wrong(*_explain(spec, first, failing[first]), f"  right: {', '.join(right) or 'none yet'}. Start with {first}"
                        + (f"; also wrong: {', '.join(later)}" if later else ""))  # fmt: skip
        if failing:
            raise Wrong(*(line for name, found in failing.items() for line in _explain(spec, name, found)))
        return f"{len(spec.cases)} cases, down to {_label(spec.cases[0][0])}"

    def _inputs(self, spec):
        for _, arguments in spec.cases:
            self._outputs(spec, arguments)
            if self.student.modified:
                raise Wrong(f"changes {' and '.join(self.student.modified)} in place, which the caller still needs. "
                            "Operators such as += and *=, and out=, write into the array they stand on")  # fmt: skip

    def _derivative(self, spec):
        sizes, arguments = spec.cases[-1]
        _, got = self._outputs(spec, arguments)
        got = dict(zip(spec.outputs, map(np.asarray, got), strict=True))
        slopes = spec.slope(lambda name, *a: self.student.call(name, a), *arguments)
        method = ""
        for name, (terms, at) in slopes.items():
            expected, method = measured_slope(terms, at)
            if not agrees(expected, got[name], 1e-9 if method == "complex step" else _DIFFERENCE):
                worst = _worst(expected, got[name])
                words = f"{name}{list(worst)}: your {spec.forward} has the slope {expected[worst]:.6g} there, by {method}"
                raise Wrong(f"{words}; you wrote {got[name][worst]:.6g} ({_label(sizes)})")
        return f"of your own {spec.forward}, by {method}"

    def _extremes(self, spec):
        for words, arguments in spec.extremes:
            for dtype, tolerance in ((np.float64, 1e-9), (np.float32, _SINGLE)):
                expected, got = self._outputs(spec, _cast(arguments, dtype))
                warned = self.student.warned
                for name, e, g in zip(spec.outputs, expected, got, strict=True):
                    if not np.isfinite(g).all():
                        found = "NaN" if np.isnan(g).any() else "infinite"
                        raise Wrong(f"{name} is {found} for {words} in {np.dtype(dtype)}, and should be a finite number", *warned[:1])
                    if warned:
                        raise Wrong(f"on the way to {name}, for {words} in {np.dtype(dtype)}: {warned[0]}",
                                    "The result may look right, but an intermediate one has left the numbers.")  # fmt: skip
                    wrong = np.abs(g - e).max() > tolerance * max(1.0, np.abs(e).max())
                    if wrong and not self.failed(spec.label or spec.name, VALUES):  # said once is enough
                        raise Wrong(f"{name} is finite but wrong for {words} in {np.dtype(dtype)}")
        return ", ".join(words for words, _ in spec.extremes)

    def _outputs(self, spec, arguments):
        """What should come out, and what does, each a list in the order of spec.outputs. Raises Wrong if they cannot be told."""
        result = self.call(spec.name, *arguments, inputs=spec.inputs, use=spec.use)
        expected = spec.reference(*arguments)
        if isinstance(expected, dict):
            if not isinstance(result, dict):
                raise Wrong(f"should return a dict and returned {type(result).__name__}" + (": is a `return` missing?" * (result is None)))
            missing = [name for name in spec.outputs if name not in result]
            if missing:
                raise Wrong(f"the dict that came back has no {', '.join(missing)}")
            return [expected[name] for name in spec.outputs], [result[name] for name in spec.outputs]
        if len(spec.outputs) == 1:
            return [np.asarray(expected)], [result]
        wanted = f"{len(spec.outputs)} arrays, {', '.join(spec.outputs)}, in this order"
        if not isinstance(result, (tuple, list)):
            raise Wrong(f"should return {wanted}; " + ("nothing came back: is a `return` missing?" if result is None else "one came back"))
        if len(result) != len(spec.outputs):
            raise Wrong(f"should return {wanted}; {len(result)} came back")
        arrays = all(as_numbers(one) is not None for one in result)
        swapped = arrays and any(all(map(agrees, order, result)) for order in permutations(expected))
        if swapped and not all(map(agrees, expected, result)):
            raise Wrong(f"every array is right, but not in its place: return {wanted}")
        return list(expected), list(result)


# Words ----------------------------------------------------------------------------------------------------------------


def _explain(spec, name, found):
    """Lines on one output: what it looks like on the largest failing case, and a number from the smallest."""
    sizes, arguments, e, g = found[-1]
    words = diagnose(e, g, _lengths(sizes), _known(spec, arguments, name)) or "is wrong, and like none of the usual mistakes"
    yield f"{name} {words}"
    sizes, arguments, e, g = found[0]
    worst = _worst(e, g)
    at = f"{name}{list(worst)}" if worst else name
    yield f"  the smallest case that fails has {_label(sizes)}; there {at} is {g[worst]:.6g} and should be {e[worst]:.6g}"
    if e.size == 1:
        small = [(n, a) for n, a in zip(spec.inputs, arguments, strict=True) if isinstance(a, np.ndarray) and a.size == 1]
        if small:
            yield f"  with {', '.join(f'{n} = {a.item():.6g}' for n, a in small)}"


def _known(spec, arguments, name):
    return spec.known(*arguments).get(name, ()) if spec.known else ()


def _worst(expected, got):
    """Index of the entry that is furthest off; NaN counts as furthest."""
    off = np.abs(np.asarray(got) - expected)
    return tuple(int(i) for i in np.unravel_index(np.argmax(np.where(np.isnan(off), np.inf, off)), np.shape(expected)))


def _lengths(sizes):
    """The sizes that are lengths, B or I, and not numbers such as a step."""
    return {name: n for name, n in sizes.items() if name.isupper()}


def _label(sizes):
    return ", ".join(f"{name} = {n}" for name, n in sizes.items())


def _where_float64(got):
    return " (np.zeros, np.ones and np.empty make float64 unless told a dtype)" if got.dtype == np.float64 else ""


def _cast(value, dtype):
    """Every float array inside tuples and dicts in another dtype."""
    if isinstance(value, tuple):
        return tuple(_cast(v, dtype) for v in value)
    if isinstance(value, dict):
        return {name: _cast(v, dtype) for name, v in value.items()}
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
