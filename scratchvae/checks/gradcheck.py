"""gradcheck: is the gradient that backward writes the derivative of what forward computes? For any Module."""

import copy

import numpy as np

from .. import gate
from ..errors import ConfigError
from ..nn import Module
from .diagnose import as_numbers
from .measure import LOST, TOLERANCES, judge, lost_step, measure
from .objective import Objective, complex_objective, first_forward, make_input, make_noise, not_complex
from .plain import parts_of
from .report import FAIL, Entry, Report


def gradcheck(module, x=None, eps=None, columns=None, rows=3, seed=0, method="complex", sample=200, name=None):
    """Compare backward with a derivative measured on forward alone, for the input and for every Parameter → Report

    module: any Module, initialised or not; twins of it run: in float64 for backward and differences, in complex128 for complex
    steps · x (B, I), eps (B, L): made from `rows`, `columns` and `seed` when None · method: "complex", "difference" or
    "both" · sample: of a larger tensor, this many entries are drawn and checked, and one random direction over all of them.

    A wrong backward gives failing entries. Raises ConfigError when forward cannot run on what it is given, or, by complex
    steps, on complex numbers.
    """
    gate.instance("module", module, Module, "a Module, such as Dense(3, 2); check_file takes a class of another kind")
    gate.choice("method", method, ("complex", "difference", "both"))
    sample, rows = gate.whole("sample", sample), gate.whole("rows", rows)
    seed = gate.whole("seed", seed, 0, 2**64 - 1)
    columns = None if columns is None else gate.whole("columns", columns)
    name = type(module).__name__ if name is None else gate.instance("name", name, str, "text")
    made_up = x is None
    x = make_input(module, columns, rows, seed) if made_up else np.atleast_2d(gate.floats("x", x))
    if x.size == 0:
        raise ConfigError(f"x is empty, {x.shape}: there is nothing to check")
    if eps is not None and not getattr(module, "noise_columns", 0):
        raise ConfigError(f"{type(module).__name__} takes no eps: leave it out, or let the module name its noise_columns")
    eps = make_noise(module, len(x), seed) if eps is None else gate.floats("eps", eps)
    methods = ("complex", "difference") if method == "both" else (method,)
    report = Report(name, method, {m: TOLERANCES[m] for m in methods}, seed, len(x))

    real = Objective(module, x, eps, seed, np.float64)
    first = first_forward(module, real, made_up)
    written, report.entries = run_backward(real, first, x)
    for m in methods:
        objective = complex_objective(module, x, eps, seed) if m == "complex" else real
        measured = [measure(m, objective, tensor, gradient, sample, i) for i, (tensor, gradient) in enumerate(written.items())]
        judge(measured, TOLERANCES[m])
        report.entries += [one.entry for one in measured]
        if m == "complex":
            _refuse_a_lost_step(module, real, objective, written, report)
    return report


def run_backward(objective, first, x):
    """backward's own gradients, and an Entry for each rule of a Module that was broken.   → {tensor: array}, [Entry]

    first: a copy of an earlier forward's output. Gradients start as NaN, so one that is not written, or is added to, is seen.
    """
    twin, buffer = objective.twin, objective.twin.buffer
    y = objective.forward()
    dY = objective.output_gradient(y)
    given = np.copy(dY)
    faults = []
    if not _same(first, y):
        faults.append(_fault("forward", f"gave two different outputs for one input: {_why_different(objective)}"))
    buffer.grads.fill(np.nan)
    try:
        dX = twin.backward(dY)
    except Exception as error:  # a wrong backward is what we look for: it is reported with the rest
        return {}, [*faults, _fault("backward", f"raised {type(error).__name__}: {error}")]

    if not np.array_equal(objective.x, x):
        faults.append(_fault("input", "was modified in place: forward and backward must leave what they are given", x.shape))
    if not np.array_equal(dY, given):
        faults.append(_fault("dY", "was modified in place: backward must leave what it is given", np.shape(dY)))
    written = {}
    nobody_asks = isinstance(y, dict) or any(getattr(m, "input_gradient", True) is False for _, m in twin.modules())
    if dX is None and not nobody_asks:
        note = "backward returned None for dX; if nobody needs it, say so: self.input_gradient = False"
        faults.append(_fault("input", note, x.shape))
    elif dX is not None and np.shape(dX) != x.shape:
        faults.append(_fault("input", f"backward returned a dX of shape {np.shape(dX)} for an x of shape {x.shape}", x.shape))
    elif dX is not None:
        written["input"] = np.array(dX)
    for name, p in twin.parameters():
        gradient = buffer.view(name, buffer.grads)
        if not np.isnan(gradient).all():
            written[name] = gradient.copy()
        elif not np.shares_memory(p.grad, gradient):
            faults.append(_fault(name, "backward bound .grad to a new array: write into it, p.grad[...] = …", p.shape))
        else:
            faults.append(_fault(name, "backward did not write this gradient, or added to it: p.grad[...] = …", p.shape))
    return written, faults





def _refuse_a_lost_step(module, real, stepped, written, report):
    """Raise ConfigError when forward loses the step, unless backward is wrong whatever measures it: then the report says so."""
    if any(not e.method for e in report.entries) or not (lost := lost_step(real, stepped, list(written))):
        return
    name, v, central, step = lost
    if report.ok or abs(v @ written[name].reshape(-1) - central) < LOST * abs(central):
        raise not_complex(module, f"along a direction through {name} a difference gives {central:.6g} and the step {step:.6g}")


def _why_different(objective):
    """Why forward does not repeat: noise, or something that it keeps from call to call."""
    one, other = (objective.twin.replica(objective.dtype) for _ in range(2))
    repeats = _same(*(copy.deepcopy(each.forward(*objective.inputs)) for each in (one, other)))
    before, after = (
        {f"{path}.{name}".lstrip("."): value for path, part in parts_of(each).items() for name, value in vars(part).items()}
        for each in (objective.twin, one)
    )
    moved = [name for name, value in before.items() if _state(value) != _state(after.get(name))]
    if not repeats or not moved or any(isinstance(before[name], (np.random.Generator, np.random.RandomState)) for name in moved):
        return "noise must come from outside, as eps"
    return (
        f"it changes self.{moved[0]} in every call and depends on it in the next, so it is no function of x and the parameters alone; "
        "check it with that held still"
    )


def _state(value):
    """Numbers, arrays and generators in a form that can be compared; None for all else."""
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state())
    array = as_numbers(value) if isinstance(value, (np.ndarray, np.generic, int, float, complex, list, tuple)) else None
    return None if array is None else (array.shape, array.tobytes())


def _same(a, b):
    if isinstance(a, dict):
        return all(np.array_equal(a[k], b[k]) for k in a)
    return np.array_equal(a, b)


def _fault(name, note, shape=()):
    return Entry(name, tuple(shape), verdict=FAIL, note=note)
