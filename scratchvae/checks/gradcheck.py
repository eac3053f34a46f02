"""gradcheck: is the gradient that backward writes the derivative of what forward computes? For any Module."""

import copy

import numpy as np

from .. import gate
from ..errors import ConfigError
from ..nn import Module
from .diagnose import as_numbers
from .measure import LOST, TOLERANCES, judge, lost_step, measure
from .objective import Objective, complex_objective, first_forward, make_inputs, not_complex
from .plain import parts_of
from .report import FAIL, Entry, Report


def gradcheck(
    module, *inputs, x=None, eps=None, columns=None, rows=3, seed=0, method="complex", sample=200, name=None, training=False
):
    """Compare backward with a derivative measured on forward alone, for every input of floats and every Parameter → Report

    module: any Module, initialised or not; twins of it run: in float64 for backward and differences, in complex128 for complex steps ·
    inputs: what forward takes, of any shapes, whole numbers among them; made up when none are given, from its `example(rows, seed)` if
    it has one, else x (rows, columns) and the eps that a model asks for; x=, eps= name these two · method: "complex", "difference" or
    "both" · sample: of a larger tensor, this many entries are drawn and checked, and one random direction over all of them ·
    training: check what it computes while it trains. All outputs count at once, each number with a random weight of its own.

    A wrong backward gives failing entries. Raises ConfigError when forward cannot run on what it is given, or, by complex
    steps, on complex numbers.
    """
    gate.instance("module", module, Module, "a Module, such as Dense(3, 2); check_file takes a class of another kind")
    gate.choice("method", method, ("complex", "difference", "both"))
    sample, rows, training = gate.whole("sample", sample), gate.whole("rows", rows), gate.flag("training", training)
    seed = gate.whole("seed", seed, 0, 2**64 - 1)
    columns = None if columns is None else gate.whole("columns", columns)
    name = type(module).__name__ if name is None else gate.instance("name", name, str, "text")
    if eps is not None and not getattr(module, "noise_columns", 0):
        raise ConfigError(f"{type(module).__name__} takes no eps: leave it out, or let the module name its noise_columns")
    made_up, inputs = not inputs and x is None, _inputs(module, inputs, x, eps, columns, rows, seed)
    methods = ("complex", "difference") if method == "both" else (method,)
    report = Report(name, method, {m: TOLERANCES[m] for m in methods}, seed, len(inputs[0]))

    real = Objective(module, inputs, seed, np.float64, training)
    first = first_forward(module, real, made_up)
    written, report.entries = run_backward(real, first)
    for m in methods:
        objective = complex_objective(module, inputs, seed, training) if m == "complex" else real
        measured = [measure(m, objective, tensor, gradient, sample, i) for i, (tensor, gradient) in enumerate(written.items())]
        judge(measured, TOLERANCES[m])
        report.entries += [one.entry for one in measured]
        if m == "complex":
            _refuse_a_lost_step(module, real, objective, written, report)
    return report


def _inputs(module, inputs, x, eps, columns, rows, seed):
    """[every input], floats in float64. Raises ConfigError for what is empty or no numbers."""
    given = list(inputs) if x is None else [x, *inputs]
    made = [] if given and (eps is not None or not getattr(module, "noise_columns", 0)) else make_inputs(module, columns, rows, seed)
    if not given:
        given = made if eps is None else made[:-1]
    elif eps is None and getattr(module, "noise_columns", 0) and len(given) == 1:
        given.append(make_inputs(module, columns, len(np.atleast_2d(gate.floats("x", given[0]))), seed)[-1])
    given = given if eps is None else [*given, eps]
    arrays = []
    for i, each in enumerate(given):
        array = gate.array(each, "x" if i == 0 else f"input {i + 1}")
        whole = array.dtype.kind in "iu" and array.ndim > 0 and not (i == 0 and x is not None)  # x= may be whole numbers for floats
        arrays.append(array if whole else np.atleast_2d(gate.floats("x" if i == 0 else f"input {i + 1}", array)))
        if arrays[-1].size == 0:
            raise ConfigError(f"{'x' if i == 0 else f'input {i + 1}'} is empty, {arrays[-1].shape}: there is nothing to check")
    return arrays


def run_backward(objective, first):
    """backward's own gradients, and an Entry for each rule of a Module that was broken.   → {tensor: array}, [Entry]

    first: copies of an earlier forward's outputs. Gradients start as NaN, so one that is not written, or is added to, is seen.
    """
    twin, buffer, inputs = objective.twin, objective.twin.buffer, [np.copy(x) for x in objective.inputs]
    outputs = objective.forward()
    gradients = objective.output_gradients(outputs)
    given = [np.copy(dY) for dY in gradients]
    faults = []
    if not _same(first, outputs):
        faults.append(_fault("forward", f"gave two different outputs for one input: {_why_different(objective)}"))
    buffer.grads.fill(np.nan)
    try:
        dX = twin.backward(*gradients)
    except Exception as error:  # a wrong backward is what we look for: it is reported with the rest
        return {}, [*faults, _fault("backward", f"raised {type(error).__name__}: {error}")]

    for (name, x), before in zip(objective.named.items(), inputs, strict=True):
        if not np.array_equal(x, before):
            faults.append(_fault(name, "was modified in place: forward and backward must leave what they are given", x.shape))
    for i, (dY, before) in enumerate(zip(gradients, given, strict=True)):
        if not np.array_equal(dY, before):
            name = "dY" if len(given) == 1 else f"dY of output {i + 1}"
            faults.append(_fault(name, "was modified in place: backward must leave what it is given", np.shape(dY)))
    written = _of_inputs(objective, dX, faults)
    for name, p in twin.parameters():
        gradient = buffer.view(name, buffer.grads)
        if not p.trained:
            continue
        if not np.isnan(gradient).all():
            written[name] = gradient.copy()
        elif not np.shares_memory(p.grad, gradient):
            faults.append(_fault(name, "backward bound .grad to a new array: write into it, p.grad[...] = …", p.shape))
        else:
            faults.append(_fault(name, "backward did not write this gradient, or added to it: p.grad[...] = …", p.shape))
    return written, faults


def _of_inputs(objective, dX, faults):
    """{name: gradient} of the inputs that backward returned one for. A fault for one that is missing or of another shape.

    None says that nobody asks, if the module says so too: `input_gradient = False`, a model, or None for one input of several.
    """
    named, written = objective.named, {}
    if dX is None:
        model = hasattr(objective.twin, "terms")
        whole = all(x.dtype.kind not in "fc" for x in named.values())
        if not model and not whole and all(getattr(m, "input_gradient", True) for _, m in objective.twin.modules()):
            name = next(iter(named))
            note = "backward returned None for dX; if nobody needs it, say so: self.input_gradient = False"
            faults.append(_fault(name, note, named[name].shape))
        return written
    returned = dX if isinstance(dX, tuple) else (dX,)
    if len(returned) != len(named):
        note = f"backward returned {len(returned)} gradients for {len(named)} inputs: one for each, None where nobody asks"
        faults.append(_fault("backward", note))
        return written
    for (name, x), gradient in zip(named.items(), returned, strict=True):
        if gradient is None or x.dtype.kind not in "fc":
            continue
        if np.shape(gradient) != x.shape:
            faults.append(_fault(name, f"backward returned a dX of shape {np.shape(gradient)} for an x of shape {x.shape}", x.shape))
        else:
            written[name] = np.array(gradient)
    return written


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
    repeats = _same(*(copy.deepcopy(_listed(each.forward(*objective.inputs))) for each in (one, other)))
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


def _listed(y):
    return list(y) if isinstance(y, tuple) else [y]


def _state(value):
    """Numbers, arrays and generators in a form that can be compared; None for all else."""
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state())
    array = as_numbers(value) if isinstance(value, (np.ndarray, np.generic, int, float, complex, list, tuple)) else None
    return None if array is None else (array.shape, array.tobytes())


def _same(a, b):
    return len(a) == len(b) and all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))


def _fault(name, note, shape=()):
    return Entry(name, tuple(shape), verdict=FAIL, note=note)
