"""gradcheck: is the gradient that backward writes the derivative of what forward computes? For any Module."""

import numpy as np

from .. import gate
from ..errors import ConfigError
from ..nn import Module
from .finite_difference import central_differences
from .measure import TOLERANCES, judge, measure
from .objective import Objective, complex_objective, first_forward, make_input, make_noise, not_complex
from .report import FAIL, Entry, Report

_LOST = 1e-4  # far above what a difference is off by, far below what losing an imaginary part does


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
            _refuse_a_lost_step(module, real, [one.entry for one in measured])
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
        faults.append(_fault("forward", "gave two different outputs for one input: noise must come from outside, as eps"))
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


def _refuse_a_lost_step(module, real, entries):
    """Raise ConfigError when the complex step is what is wrong: forward lost the imaginary part (abs, a comparison …).

    Then a difference agrees with backward and not with the step, by far more than differences can be off.
    """
    for entry in (e for e in entries if e.verdict == FAIL and e.error > _LOST):
        position = int(np.ravel_multi_index(entry.index, entry.shape))
        central, left, right = (d[0] for d in central_differences(real.terms, real.tensors[entry.name], [position]))
        size = max(abs(entry.analytic), abs(entry.numeric))
        if abs(right - left) < _LOST * size and abs(central - entry.analytic) < TOLERANCES["difference"] * size:
            where = f"{entry.name}{list(entry.index)}"
            raise not_complex(module, f"at {where} a difference gives {central:.6g} and the step {entry.numeric:.6g}")


def _same(a, b):
    if isinstance(a, dict):
        return all(np.array_equal(a[k], b[k]) for k in a)
    return np.array_equal(a, b)


def _fault(name, note, shape=()):
    return Entry(name, tuple(shape), verdict=FAIL, note=note)
