"""The end of a step: Adam on one block of weights, and what has become of the objective and of the parameters."""

import numpy as np

from ...training.step import TrainingStep
from . import lessons
from .parts import Step, Value
from .source import source_of


def told_update(taken, arrays, place):
    """→ [Step] of the moments, the update and what came of it.   place: of the objective"""
    adam, path = taken.adam, most_moved(taken)
    numbers, (m_line, v_line, p_line) = lessons.equations(adam.function), lessons.adam_lines()
    told = {"function": adam.function, "sources": source_of(adam.function), "equations": numbers}
    shown = lambda *values: [arrays.parameter(path, *value) for value in values]
    after = adam.after
    moments = shown((after["g"], "g", "in"), (after["m"], "m / (1 − β₁)", "out"), (after["v"], "v / (1 − β₂)", "out"))
    before = taken.values[: len(after["p"])]
    moved = shown(
        (before, "p before", "in"), (after["p"] - before, "p after − p before", "out"), (after["p"], "p after", "out")
    )
    texts = lessons.MOMENTS.format(name=path), lessons.UPDATE.format(name=path, lr=taken.lr, eps=1e-8)
    losses = [Value("ℒ before", "in", (), np.float64(taken.loss))]
    losses += [
        Value(f"{name} after", "out", ("image",), np.array(term))
        for name, term in zip(taken.model.terms, taken.after, strict=True)
    ]
    losses.append(Value("ℒ after", "out", (), np.float64(taken.loss_after), note=taken.model.unit))
    ends = {"function": TrainingStep._update, "sources": source_of(TrainingStep._update), "ran": False}
    return [
        Step(
            "update-moments",
            "update",
            "Adam: the moments",
            "adam",
            texts[0],
            formulas=(m_line, v_line),
            values=moments,
            **told,
        ),
        Step(
            "update-weights", "update", "Adam: the update", "adam", texts[1], formulas=(p_line,), values=moved, **told
        ),
        Step(
            "after", "update", "One step later", place, who_moved(taken), values=losses + stays(taken, arrays), **ends
        ),
    ]


def most_moved(taken):
    """Path of the weights, of two axes or more where there are such, whose gradient is largest on average."""
    buffer = taken.twin.buffer
    trained = [name for name in buffer.names if buffer.slices[name].stop <= buffer.trained]
    return max(trained, key=lambda name: (len(buffer.shapes[name]) > 1, np.abs(buffer.view(name, taken.grads)).mean()))


def stays(taken, arrays):
    """Of weights with a row for each pixel, the share of each row whose gradient is exactly 0: [Value], or []"""
    for path in taken.twin.buffer.names:
        value = arrays.parameter(path, taken.grads, "", "out")
        if value.axes[0] == "pixel" and len(value.axes) == 2:
            share, note = (
                (value.data == 0).mean(axis=1),
                f"of the weights of {path}, the share whose gradient is exactly 0",
            )
            return [Value("stays, per pixel", "out", ("pixel",), share, "image", note=note, same=value.same[:1])]
    return []


def who_moved(taken):
    """How many parameters the update has changed, and why the others stay → text"""
    g, p = taken.adam.after["g"], taken.adam.after["p"]
    moved = int(np.sum(p != taken.values[: len(p)]))
    zero, stayed, silent, shut = int(np.sum(g == 0)), len(p) - moved, 0, 0
    for call in taken.backward:
        if call.name == "affine_backward":  # dW = Xᵀ dY is 0 where one of them is; db = Σ dY
            inputs, outputs = call.after["dW"].shape
            dark, dead = (inputs - call.before["x"].any(axis=0).sum(), outputs - call.before["dY"].any(axis=0).sum())
            silent, shut = silent + int(dark * outputs), shut + int((inputs - dark + 1) * dead)
    text = lessons.AFTER.format(count=len(p), moved=moved, before=taken.loss, after=taken.loss_after)
    text += lessons.ROSE if taken.loss_after > taken.loss else ""
    if zero:
        dense = lessons.DENSE.format(silent=silent, shut=shut) if silent or shut else ""
        rest = lessons.OTHERS.format(count=zero - silent - shut) if dense and zero > silent + shut else ""
        text += lessons.STAYED.format(zero=zero, share=zero / len(p), dense=dense, rest=rest)
    return text + (lessons.TOO_SMALL.format(count=stayed - zero) if stayed > zero else "")
