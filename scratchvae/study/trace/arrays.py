"""The arrays of a step as Values: what their axes count, where they were made, and for a gradient what was measured."""

import numpy as np

from . import lessons
from .axes import Axes, address
from .parts import Value
from .record import owner


class Arrays:
    """made: {whose memory: key of the step that wrote it last} · came: {whose memory: field} of what came in"""

    def __init__(self, taken, image_shape):
        self.taken, self.made = taken, {id(owner(taken.dL)): "forward-objective"}
        self.axes = Axes(len(taken.dL), (image_shape or ())[:2])
        twin, places = taken.twin, int(np.prod((image_shape or (0,))[:2]))
        for _, p in twin.parameters():
            self.axes.fix(p.value)
            self.axes.fix(p.grad)
        self.came = {id(owner(array)): name for name, array in taken.given.items()}
        for name, array in taken.given.items():
            self.axes.came(array)
            if name == "eps" or (array.ndim == 2 and array.shape[1] in (places, taken.model.data_size)):
                self.axes.seed(array, 1, "latent" if name == "eps" else "pixel")
        self.met = {id(call): self.axes.meet(call) for call in (*taken.forward, *taken.backward)}

    def wrote(self, call, key):
        """Remember which step wrote what a call did."""
        self.made.update((id(owner(call.arrays[argument])), key) for argument in call.outs)

    def source(self, call, argument):
        """Key of the step that made an argument, or None."""
        return self.made.get(id(owner(call.arrays[argument])))

    def name(self, call, argument):
        """What the page calls an argument: a Parameter's gradient by its name, an `out` by that under which the module
        asked for it, and a term by its own."""
        if argument in call.gradients:
            return lessons.symbol(f"d{call.gradients[argument]}")
        if call.path == "objective" and argument.startswith("term ") and call.phase == "forward":
            return self.taken.model.terms[int(argument.split()[1]) - 1]
        if argument == "out":
            argument = self.taken.recorder.name_of(call.arrays[argument]) or "y"
        return lessons.symbol(argument)

    def of(self, call, argument, name=None):
        """The Value of an argument of a call."""
        role, array = "out" if argument in call.outs else "in", call.arrays[argument]
        shape, keys = self.met[id(call)][argument]
        data = np.asarray((call.after if role == "out" else call.before)[argument], np.float64).reshape(shape)
        axes = self.axes.words(shape, keys, address(array) in self.axes.fixed)
        written = role == "out" and call.phase == "backward"
        parameter = getattr(call.module, call.gradients[argument]) if argument in call.gradients else None
        note = lessons.RUNNING if parameter is not None and not parameter.trained else ""
        if array.shape != shape and parameter is None:
            note = f"given as {array.shape}"
        check = self.check(call, argument, data) if written else None
        source, came = self.source(call, argument) if role == "in" else None, self.came.get(id(owner(array)))
        name, same = name or self.name(call, argument), tuple(map(self.axes.root, keys))
        return Value(name, role, axes, data, self.kind(array), check, note, source, same, came)

    def given(self, field, name):
        """The Value of what came in."""
        array = self.taken.given[field]
        self.made[id(owner(array))] = "noise" if field == "eps" else "input"
        keys = [(address(array), array.shape, i) for i in range(array.ndim)]
        axes, same = self.axes.words(array.shape, keys), tuple(map(self.axes.root, keys))
        return Value(name, "out", axes, np.asarray(array, np.float64), self.kind(array), same=same)

    def parameter(self, path, flat, name, role):
        """The Value of a Parameter's part of a flat array (N,): values, gradients or moments."""
        buffer = self.taken.twin.buffer
        keys = [(address(buffer.view(path)), buffer.shapes[path], i) for i in range(len(buffer.shapes[path]))]
        axes, same = self.axes.words(buffer.shapes[path], keys, True), tuple(map(self.axes.root, keys))
        return Value(name, role, axes, buffer.view(path, flat), same=same)

    def kind(self, array):
        """ "image" for what came in as pixels in [0, 1]."""
        for name, given in self.taken.given.items():
            if (
                owner(array) is owner(given)
                and name in self.taken.model.in_floats
                and given.min() >= 0
                and given.max() <= 1
            ):
                return "image"
        return "signed"

    def check(self, call, argument, gradient):
        """The numeric twin of a gradient that this call wrote, or None where forward has no such place of its own."""
        numeric = self.taken.numeric
        if argument in call.gradients:
            name = call.gradients[argument]
            return (
                numeric.of_parameter(f"{call.path}.{name}".strip("."), gradient)
                if getattr(call.module, name).trained
                else None
            )
        places = [self.forward_of(*part) for part in call.meets.get(argument, [(call, argument)])]
        if all(place and place[1] == gradient.size for place in places):
            return numeric.of_arguments([place for place, _ in places], gradient)
        returned = self.taken.recorder.returned.get((id(owner(call.arrays[argument])), gradient.size))
        return numeric.of_input(*returned, gradient) if returned else None

    def forward_of(self, call, argument):
        """((path, operation, its number, argument), its size) of which a backward wrote the gradient, or None."""
        name = (call.name or "").removesuffix("_backward")
        done = [one for one in self.taken.forward if one.path == call.path and one.name == name]
        if not done or name == call.name:
            return None
        one = done[::-1][call.nth]  # what was done last is undone first
        given = {n.lower(): n for n in one.arrays if n not in one.outs}
        wanted = next(iter(given)) if argument == "out" else argument.lower()[1:]
        return ((one.path, name, one.nth, given[wanted]), one.arrays[given[wanted]].size) if wanted in given else None
