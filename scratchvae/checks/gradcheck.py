"""gradcheck: is the gradient that backward writes the derivative of what forward computes? For any Module."""

import numpy as np

from .. import gate
from ..errors import ConfigError
from ..nn import Module
from .measure import LOST, TOLERANCES, judge, lost_step, measure
from .objective import (
    Objective,
    complex_objective,
    first_forward,
    make_inputs,
    make_noise,
    modes,
    not_complex,
    numbered,
)
from .report import FAIL, Report
from .rules import run_backward


def gradcheck(
    module, *inputs, x=None, eps=None, columns=None, rows=3, seed=0, method="complex", sample=200, name=None,
    training=None
):
    """Compare backward with a derivative measured on forward alone, for every input and every Parameter → Report

    module: any Module, initialised or not; twins of it run: in float64 for backward and differences, in complex128 for
    complex steps · inputs: arrays of any shapes, those of floats differentiated and whole numbers handed on; none for
    made-up ones of `rows` rows, which a module may choose itself (`example(rows, seed)`) and `columns` widens · x (B,
    I), eps (B, L): the same by name, eps made up when None · every output counts, by random weights of its own ·
    method: "complex", "difference" or "both" · sample: of a larger tensor, this many entries are drawn and checked, and
    one random direction over all of them · training: a mode, or None for both where the module's outputs differ.

    A wrong backward gives failing entries. Raises ConfigError when forward cannot run on what it is given, or, by
    complex steps, on complex numbers.
    """
    gate.instance("module", module, Module, "a Module, such as Dense(3, 2); check_file takes a class of another kind")
    gate.choice("method", method, ("complex", "difference", "both"))
    sample, rows = gate.whole("sample", sample), gate.whole("rows", rows)
    seed = gate.whole("seed", seed, 0, 2**64 - 1)
    columns = None if columns is None else gate.whole("columns", columns)
    training = None if training is None else gate.flag("training", training)
    name = type(module).__name__ if name is None else gate.instance("name", name, str, "text")
    made_up = not inputs and x is None
    inputs = _inputs(module, inputs, x, eps, columns, rows, seed)
    methods = ("complex", "difference") if method == "both" else (method,)
    report = Report(name, method, {m: TOLERANCES[m] for m in methods}, seed, len(inputs[0]))
    for mode in modes(module, inputs) if training is None else [training]:
        entries = _check(module, inputs, mode, methods, sample, seed, made_up)
        for entry in entries:
            entry.name += ", training" if mode and training is None else ""
        report.entries += entries
    return report


def _inputs(module, inputs, x, eps, columns, rows, seed):
    """What forward is given, as arrays. Raises ConfigError."""
    if inputs and x is not None:
        raise ConfigError("the first input was given twice, by its place and as x=")
    if eps is not None and not getattr(module, "noise_columns", 0):
        raise ConfigError(
            f"{type(module).__name__} takes no eps: leave it out, or let the module name its noise_columns"
        )
    if x is not None:
        inputs = (np.atleast_2d(gate.floats("x", x)),)
    if inputs:
        inputs = [gate.array(each, name) for each, name in zip(inputs, numbered("input", len(inputs)), strict=True)]
        if eps is None and len(inputs) == len(getattr(module, "reads", ())):
            inputs += make_noise(module, len(inputs[0]), seed)
    else:
        inputs = list(make_inputs(module, columns, rows, seed))
        if eps is not None:
            inputs.pop()
    inputs = [*inputs, *([] if eps is None else [gate.floats("eps", eps)])]
    for name, each in zip(numbered("input", len(inputs), "x"), inputs, strict=True):
        if each.ndim == 0 or each.size == 0:
            raise ConfigError(f"{name} is empty, {each.shape}: there is nothing to check")
    return [each.astype(np.float64) if each.dtype.kind == "f" else each for each in inputs]


def _check(module, inputs, training, methods, sample, seed, made_up):
    """One mode.   → [Entry]"""
    real = Objective(module, inputs, seed, np.float64, training)
    first = first_forward(module, real, made_up)
    written, entries = run_backward(real, first, inputs)
    for m in methods:
        objective = complex_objective(module, inputs, seed, training) if m == "complex" else real
        measured = [
            measure(m, objective, tensor, gradient, sample, i) for i, (tensor, gradient) in enumerate(written.items())
        ]
        judge(measured, TOLERANCES[m])
        entries += [one.entry for one in measured]
        if m == "complex":
            _refuse_a_lost_step(module, real, objective, written, entries)
    return entries


def _refuse_a_lost_step(module, real, stepped, written, entries):
    """Raise ConfigError when forward loses the step, unless backward is wrong whatever measures it: then the report
    says so."""
    if any(e.verdict == FAIL and not e.method for e in entries) or not (
        lost := lost_step(real, stepped, list(written))
    ):
        return
    name, v, central, step = lost
    if all(e.verdict != FAIL for e in entries) or abs(v @ written[name].reshape(-1) - central) < LOST * abs(central):
        raise not_complex(
            module, f"along a direction through {name} a difference gives {central:.6g} and the step {step:.6g}"
        )
