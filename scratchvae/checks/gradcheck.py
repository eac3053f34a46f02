"""gradcheck: is the gradient that backward writes the derivative of what forward computes? For any Module."""

import copy

import numpy as np

from .. import gate
from ..errors import ConfigError
from ..nn import Module
from .diagnose import as_numbers
from .measure import LOST, TOLERANCES, judge, lost_step, measure
from .objective import (
    Objective,
    complex_objective,
    first_forward,
    is_asked,
    make_inputs,
    make_noise,
    modes,
    not_complex,
    numbered,
    several,
)
from .plain import parts_of
from .report import FAIL, STATE, Entry, Report


def gradcheck(
    module, *inputs, x=None, eps=None, columns=None, rows=3, seed=0, method="complex", sample=200, name=None, training=None
):
    """Compare backward with a derivative measured on forward alone, for every input and every Parameter → Report

    module: any Module, initialised or not; twins of it run: in float64 for backward and differences, in complex128 for complex steps ·
    inputs: arrays of any shapes, those of floats differentiated and whole numbers handed on; none for made-up ones of `rows` rows, which
    a module may choose itself (`example(rows, seed)`) and `columns` widens · x (B, I), eps (B, L): the same by name, eps made up when
    None · every output counts, by random weights of its own · method: "complex", "difference" or "both" · sample: of a larger tensor,
    this many entries are drawn and checked, and one random direction over all of them · training: a mode, or None for both where the
    module's outputs differ.

    A wrong backward gives failing entries. Raises ConfigError when forward cannot run on what it is given, or, by complex
    steps, on complex numbers.
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
        raise ConfigError(f"{type(module).__name__} takes no eps: leave it out, or let the module name its noise_columns")
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
        measured = [measure(m, objective, tensor, gradient, sample, i) for i, (tensor, gradient) in enumerate(written.items())]
        judge(measured, TOLERANCES[m])
        entries += [one.entry for one in measured]
        if m == "complex":
            _refuse_a_lost_step(module, real, objective, written, entries)
    return entries


def run_backward(objective, first, inputs):
    """backward's own gradients, and an Entry for each rule of a Module that was broken, and for state.   → {tensor: array}, [Entry]

    first: a copy of an earlier forward's outputs. Gradients start as NaN, so one that is not written, or is added to, is seen.
    """
    twin, buffer = objective.twin, objective.twin.buffer
    outputs = objective.forward()
    gradients = objective.output_gradients()
    given = copy.deepcopy(gradients)
    faults = []
    if not _same(first, outputs):
        faults.append(_fault("forward", f"gave two different outputs for one input: {_why_different(objective)}"))
    buffer.grads.fill(np.nan)
    try:
        returned = twin.backward(*gradients)
    except Exception as error:  # a wrong backward is what we look for: it is reported with the rest
        return {}, [*faults, _fault("backward", f"raised {type(error).__name__}: {error}")]

    for name, now, before in zip(objective.names, objective.inputs, inputs, strict=True):
        if not np.array_equal(now, before):
            faults.append(_fault(name, "was modified in place: forward and backward must leave what they are given", before.shape))
    for name, now, before in zip(numbered("dY of output", len(given), "dY"), gradients, given, strict=True):
        if not np.array_equal(now, before):
            faults.append(_fault(name, "was modified in place: backward must leave what it is given", before.shape))
    written, returned = {}, several(returned)
    if len(returned) > len(inputs):
        faults.append(_fault("backward", f"returned {len(returned)} gradients for {len(inputs)} inputs"))
    returned = (*returned, *[None] * len(inputs))
    for place, (name, x) in enumerate(zip(objective.names, objective.inputs, strict=True)):
        dX = returned[place]
        if name not in objective.tensors:  # whole numbers have no gradient
            continue
        if dX is not None and np.shape(dX) != x.shape:
            words = f"backward returned a {label(name)} of shape {np.shape(dX)} for an x of shape {x.shape}"
            faults.append(_fault(name, words, x.shape))
        elif dX is not None:
            written[name] = np.array(dX)
        elif is_asked(twin, place, len(inputs)):
            note = f"backward returned None for {label(name)}; if nobody needs it, say so: self.input_gradient = "
            note += "False" if len(inputs) == 1 else str(tuple(i != place for i in range(len(inputs))))
            faults.append(_fault(name, note, x.shape))
    for name, p in twin.parameters():
        gradient = buffer.view(name, buffer.grads)
        if not np.isnan(gradient).all():
            if p.trained:
                written[name] = gradient.copy()
            else:
                faults.append(Entry(name, p.shape, verdict=STATE, note="is not trained: no gradient, so not compared"))
        elif not np.shares_memory(p.grad, gradient):
            faults.append(_fault(name, "backward bound .grad to a new array: write into it, p.grad[...] = …", p.shape))
        else:
            faults.append(_fault(name, "backward did not write this gradient, or added to it: p.grad[...] = …", p.shape))
    return written, faults


def label(name):
    """ "input" → "dX", "input 2" → "dX 2", "W" → "dW", "0.W" → "0.dW" """
    if name.split()[0] == "input":
        return name.replace("input", "dX")
    path, _, attribute = name.rpartition(".")
    return f"{path}.d{attribute}".lstrip(".")


def _refuse_a_lost_step(module, real, stepped, written, entries):
    """Raise ConfigError when forward loses the step, unless backward is wrong whatever measures it: then the report says so."""
    if any(e.verdict == FAIL and not e.method for e in entries) or not (lost := lost_step(real, stepped, list(written))):
        return
    name, v, central, step = lost
    if all(e.verdict != FAIL for e in entries) or abs(v @ written[name].reshape(-1) - central) < LOST * abs(central):
        raise not_complex(module, f"along a direction through {name} a difference gives {central:.6g} and the step {step:.6g}")


def _why_different(objective):
    """Why forward does not repeat: noise, or something that it keeps from call to call."""
    one, other = (objective.twin.replica(objective.dtype) for _ in range(2))
    repeats = _same(*(several(copy.deepcopy(each.forward(*objective.inputs))) for each in (one, other)))
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
    return len(a) == len(b) and all(map(np.array_equal, a, b))


def _fault(name, note, shape=()):
    return Entry(name, tuple(shape), verdict=FAIL, note=note)
