"""One case of anyone's layer: every gradient in full beside the one measured on forward, and plain words for what
differs."""

import contextlib
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from .complex_step import complex_step
from .diagnose import as_numbers, diagnose
from .finite_difference import central_differences
from .measure import TOLERANCES, judge, lost_step, measure
from .objective import Objective, complex_objective, is_asked, numbered, several
from .plain import parts_of
from .report import FAIL
from .rules import label, run_backward

UNKNOWN = "is wrong, and like none of the usual mistakes"

# of the largest entry: within this two arrays are the same to `diagnose`
_CLOSE = {"complex": 1e-9, "difference": 1e-5}


@dataclass
class Finding:
    """What is wrong, in words: `tensor` names it ("dW", "dX", "forward") and `words` says what about it."""

    tensor: str
    words: str
    expected: np.ndarray = None  # the whole gradient, as measured on forward
    got: object = None  # what backward gave

    def __str__(self):
        return f"{self.tensor} {self.words}"


@dataclass
class Examination:
    """All that one case showed."""

    findings: list
    method: str = ""  # "complex" or "difference"
    tensors: tuple = ()  # names of the gradients that were compared
    given: dict = None  # {"x": …, "dY": …, parameter's name: …}
    notes: tuple = ()


def examine(module, inputs, seed, sizes, where=lambda error: "", tell=True, training=None):
    """Compare every gradient of a Module at these inputs → Examination

    inputs: arrays of any shapes · training: a mode, or None for the module's own · sizes: {"B": 5, …}, names of
    lengths, for words · where(error) → " at line 7", the place in the user's own file · tell: False leaves out the
    words for a wrong gradient, which take most of the time. Raises ConfigError for a layer that cannot be measured
    because it does not keep float64.
    """
    real = Objective(module, inputs, seed, np.float64, training)
    given = dict(zip(numbered("input", len(inputs), "x"), map(np.array, inputs), strict=True))
    values = real.twin.buffer.values.copy()
    kept = _record_backward(real.twin)
    try:
        calls = _calls_of_parts(real)
        first = tuple(np.array(y) for y in real.forward())
        written, faults = run_backward(real, first, inputs)
    except ConfigError:
        raise
    except Exception as error:
        shapes = " and ".join(str(x.shape) for x in inputs)
        words = f"raised {type(error).__name__}: {error}{where(error)} for x of shape {shapes}"
        return Examination([Finding("forward", words)], given=given)
    _demand_float64(first, type(getattr(module, "layer", module)).__name__)
    if not all(np.isfinite(part).all() for part in first):
        return Examination(
            [Finding("forward", "gave NaN or infinite numbers where x and the parameters are ordinary ones")],
            given=given,
        )
    given |= {name: real.twin.buffer.view(name, values).copy() for name in real.twin.buffer.names}
    given |= zip(numbered("dY of output", len(first), "dY"), real.output_gradients(), strict=True)
    if "error" in kept:
        error = kept["error"]
        return Examination([Finding("backward", f"raised {type(error).__name__}: {error}{where(error)}")], given=given)

    returned = (*several(kept["dX"]), *[None] * len(inputs))
    raw = dict(zip(real.names, returned, strict=False)) | getattr(real.twin, "raw", {})
    findings = [_from_fault(e) for e in faults if e.verdict == FAIL and not _told_by_array(e, raw)]
    changed = [
        name
        for name in real.twin.buffer.names
        if not np.array_equal(given[name], real.twin.buffer.view(name), equal_nan=True)
    ]
    changed += getattr(real.twin, "rebound", list)()
    findings += [
        Finding(name, "was changed by forward or backward: leave the update to the optimiser")
        for name in dict.fromkeys(changed)
    ]
    if any("in place" in f.words for f in findings):
        findings = [f for f in findings if f.tensor != "forward"]  # two different outputs follow from it
    if changed or any("in place" in f.words or "two different" in f.words for f in findings):
        return Examination(findings, given=given)  # forward is not one function, so there is nothing to measure

    got = {name: raw.get(name, written.get(name)) for name in real.tensors if name in written or name in raw}
    for place, name in enumerate(real.names):
        if name in got and got[name] is None and not is_asked(real.twin, place, len(inputs)):
            del got[name]
    method, objective = "difference", real
    with contextlib.suppress(ConfigError):  # of a layer that takes no complex numbers
        stepped = complex_objective(module, inputs, seed, training)
        if not lost_step(real, stepped, list(real.shapes)):
            method, objective = "complex", stepped
    measured = _measured(method, objective, real.shapes, got)
    for name, gradient in got.items():
        one, shape = measured[name], real.shapes[name]
        if _usable(gradient, shape) and one.entry.verdict != FAIL:
            continue
        right = np.where(one.kinked, one.analytic, one.numeric).reshape(shape)  # at a kink there is no other
        if not tell:
            findings.append(Finding(label(name), UNKNOWN, right, gradient))
            continue
        known = [] if gradient is None else list(_known(objective, method, name, right, len(inputs[0])))
        words = diagnose(right, gradient, sizes, known, _CLOSE[method]) or UNKNOWN
        if gradient is None and name not in real.names:
            words = "is not there: backward must leave it on self"
        findings.append(Finding(label(name), words, right, gradient))
    for name, n in calls.items():
        if n > 1 and any(f.tensor.startswith("dX") or f.tensor.startswith(f"{name}.") for f in findings):
            words = (
                f"calls {name} {n} times: what it remembers for backward is of the last call alone, and each backward "
                "writes over the "
                "gradient of the one before; use a layer for each call, or let it keep what each call needs and add up"
            )
            findings.insert(0, Finding("forward", words))
    notes = []
    if not findings:
        findings, notes = _second_batch(module, inputs, seed, where, training)
    return Examination(findings, method, tuple(map(label, got)), given, tuple(notes))


def _record_backward(layer):
    """Keep what backward returns or raises.   → a dict that fills"""
    backward, kept = layer.backward, {}

    def recording(*gradients):
        try:
            kept["dX"] = backward(*gradients)
        except Exception as error:
            kept["error"] = error
            raise
        return kept["dX"]

    layer.backward = recording  # on the twin alone
    return kept


def _calls_of_parts(objective):
    """Run the objective once.   → {path: how often forward called this part}"""
    parts = {path: part for path, part in parts_of(objective.twin).items() if path}
    calls = dict.fromkeys(parts, 0)

    def counting(path, forward):
        def call(*arguments, **options):
            calls[path] += 1
            return forward(*arguments, **options)

        return call

    for path, part in parts.items():
        part.forward = counting(path, part.forward)  # of the twin alone, and for this run
    try:
        objective.terms()
    finally:
        for part in parts.values():
            del part.forward
    return calls


def _demand_float64(outputs, name):
    for part in outputs:
        if part.dtype != np.float64:
            raise ConfigError(
                f"{name}.forward returned {part.dtype} for float64, so its slopes cannot be measured: keep the dtype "
                "of x"
            )


def _from_fault(entry):
    """ "backward did not …" of W → "dW is wrong: backward did not …" """
    if entry.note.startswith("backward"):
        return Finding(label(entry.name), f"is wrong: {entry.note}")
    return Finding(f"the {entry.name}" if entry.name.split()[0] == "input" else entry.name, entry.note)


def _told_by_array(entry, raw):
    """True for a fault that the array itself will tell better: not there, or of the wrong shape."""
    return entry.name in raw and any(words in entry.note for words in (" of shape", "None for dX", "did not write"))


def _measured(method, objective, shapes, got):
    """Every gradient as `gradcheck` measures and judges it, at each of its entries.   → {name: Measurement}

    What backward left out, or gave in another shape, is measured as zeros.
    """
    found = {}
    for number, (name, shape) in enumerate(shapes.items()):
        written = got[name] if _usable(got.get(name), shape) else np.zeros(shape)
        found[name] = measure(
            method, objective, name, np.array(as_numbers(written), np.float64), objective.tensors[name].size, number
        )
    judge(list(found.values()), TOLERANCES[method])
    return found


def _usable(gradient, shape):
    gradient = as_numbers(gradient)
    return gradient is not None and gradient.shape == shape and np.isfinite(gradient).all()


def _steps(objective, name):
    theta = objective.tensors[name]
    return complex_step(objective.terms, theta, np.arange(theta.size))


def _known(objective, method, name, right, rows):
    """Wrong gradients that the right one alone does not tell of: (array, words) pairs for `diagnose`."""
    yield 2 * right, "is twice too large everywhere: is a factor ½ missing?"
    weights, of_input = objective.weights, name in objective.names

    def measured_with(changed):
        """The gradient for another dY."""
        objective.weights = changed
        theta = objective.tensors[name]
        slopes = (
            _steps(objective, name)
            if method == "complex"
            else central_differences(objective.terms, theta, np.arange(theta.size))[0]
        )
        objective.weights = weights
        return slopes.reshape(right.shape)

    if of_input and weights.size == right.size:
        dY = weights.reshape(right.shape)
        yield dY, "is dY, handed on as it came"
        yield right - dY, "lacks dY itself: is the way around, x + …, forgotten?"
    for other, value in objective.twin.buffer.shapes.items() if of_input else ():
        if other in objective.tensors and len(value) == 2 and value[0] == value[1]:
            theta = objective.tensors[other]
            kept = theta.copy()
            theta[:] = kept.reshape(value).T.ravel()
            turned = measured_with(weights)
            theta[:] = kept
            yield turned, f"is that of {other} transposed: {other} stands the wrong way round in backward"
    # which output a weight is of
    each = [np.full(np.prod(shape, dtype=int), i) for i, shape in enumerate(objective.outputs)]
    for i, words in enumerate(numbered("dY of output", len(each)) if len(each) > 1 else ()):
        yield (
            measured_with(weights * (np.concatenate(each) != i)),
            f"leaves {words} out: the gradients of all outputs add up",
        )
    if rows > 1 and not of_input and all(shape and shape[0] == rows for shape in objective.outputs):
        for row, which in ((rows - 1, "last"), (0, "first")):
            only = np.concatenate([np.arange(one.size) // (one.size // rows) == row for one in each])
            words = f"is that of the {which} row alone, not accumulated over the rows: is an = where += was meant?"
            yield measured_with(weights * only), words
    yield measured_with(np.ones_like(weights)), "does not depend on dY: the chain rule multiplies by it"


def _second_batch(module, inputs, seed, where, training):
    """Is a second batch, of another size, given its own gradients?   → [Finding], [note]"""
    moved = [x * 0.5 + 0.25 if x.dtype.kind == "f" else x for x in inputs]
    later = [np.concatenate([x[::-1], x[:1]]) for x in moved]
    used, fresh = (Objective(module, inputs, seed, np.float64, training).twin for _ in range(2))
    first = _gradients(used, inputs)
    try:
        second = _gradients(used, later)
    except Exception as error:
        return [
            Finding("a second batch", f"of another size made it raise {type(error).__name__}: {error}{where(error)}")
        ], []
    right = _gradients(fresh, later)
    findings, adds = [], False
    for name in right:
        if right[name] is None or np.allclose(right[name], second[name], rtol=1e-9, atol=1e-12):
            continue
        if name in used.buffer.names and np.allclose(first[name] + right[name], second[name], rtol=1e-9, atol=1e-12):
            adds = True
            continue
        words = "is wrong for a second batch, though right for the first: does something stay from before?"
        findings.append(Finding(label(name), words, right[name], second[name]))
    return findings, ["backward adds to the gradients that are there: set them to 0 before each step"] if adds else []


def _gradients(layer, inputs):
    """One forward and backward.   → {name: a copy of its gradient}"""
    outputs = several(layer.forward(*(x.copy() for x in inputs)))
    layer.buffer.grads.fill(np.nan)
    returned = several(layer.backward(*(np.cos(np.arange(y.size, dtype=np.float64)).reshape(y.shape) for y in outputs)))
    raw = getattr(layer, "raw", {})
    gradients = {
        name: np.array(raw.get(name, layer.buffer.view(name, layer.buffer.grads)), np.float64)
        for name in layer.buffer.names
    }
    inputs = zip(numbered("input", len(inputs)), returned, strict=False)
    return {name: None if dX is None else np.array(dX) for name, dX in inputs} | gradients
