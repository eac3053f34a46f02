"""The rules that a Module keeps, whatever it computes, and the gradients that its own backward writes."""

import copy

import numpy as np

from .diagnose import as_numbers
from .objective import is_asked, numbered, several
from .plain import parts_of
from .report import FAIL, STATE, Entry


def run_backward(objective, first, inputs):
    """backward's own gradients, and an Entry for each rule of a Module that was broken, and for state.
    → {tensor: array}, [Entry]

    first: a copy of an earlier forward's outputs. Gradients start as NaN, so one that is not written, or is added to,
    is seen.
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
            faults.append(
                _fault(name, "was modified in place: forward and backward must leave what they are given", before.shape)
            )
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
            note = f"backward returned None for {label(name)}; if it is not needed, say so: self.input_gradient = "
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
            faults.append(
                _fault(name, "backward did not write this gradient, or added to it: p.grad[...] = …", p.shape)
            )
    return written, faults


def label(name):
    """ "input" → "dX", "input 2" → "dX 2", "W" → "dW", "0.W" → "0.dW" """
    if name.split()[0] == "input":
        return name.replace("input", "dX")
    path, _, attribute = name.rpartition(".")
    return f"{path}.d{attribute}".lstrip(".")


def _why_different(objective):
    """Why forward does not repeat: noise, or something that it keeps from call to call."""
    one, other = (objective.twin.replica(objective.dtype) for _ in range(2))
    repeats = _same(*(several(copy.deepcopy(each.forward(*objective.inputs))) for each in (one, other)))
    before, after = (
        {
            f"{path}.{name}".lstrip("."): value
            for path, part in parts_of(each).items()
            for name, value in vars(part).items()
        }
        for each in (objective.twin, one)
    )
    moved = [name for name, value in before.items() if _state(value) != _state(after.get(name))]
    if (
        not repeats
        or not moved
        or any(isinstance(before[name], (np.random.Generator, np.random.RandomState)) for name in moved)
    ):
        return "noise must come from outside, as eps"
    return (
        f"it changes self.{moved[0]} in every call and depends on it in the next, so it is no function of x and the "
        "parameters alone; "
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
