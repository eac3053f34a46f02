"""trace: run one training step of a model on replicas, and tell it step by step."""

import numpy as np
from threadpoolctl import threadpool_limits

from ... import rng
from ...errors import ConfigError, ShapeError
from ...evaluate.accepted import check_model
from ...evaluate.batch import fields_of
from . import lessons
from .arrays import Arrays
from .parts import Meeting, Step, Trace, Value
from .source import source_of
from .taken import Taken
from .tree import Tree, holds
from .update import told_update

NODES = {"images": ("x", "images"), "eps": ("ε", "noise")}


def trace(model, fields, eps=None, *, seed=0, lr=1e-3, image_shape=None, title=None, notes=()):
    """One training step of a model, any Model, written down → Trace. The model is left alone: replicas in float64 are
    what runs.

    fields: {name: (B, …)} with all that the model reads, or images alone (B, D) · eps (B, noise_columns), or None for
    the noise of training step 0 under `seed` · lr: of Adam, which starts fresh · image_shape: (height, width), or in
    colour (height, width, 3), when the D numbers are to be shown as pictures; by default the model's own · notes:
    sentences for the page.

    Raises ConfigError for what is no initialised Model, and ConfigError, ShapeError or DataError when something does
    not fit it.
    """
    check_model(model)
    if not isinstance(fields, dict):
        fields = {"images": np.atleast_2d(np.asarray(fields, np.float64))}
    arrays = [np.asarray(array) for array in fields_of(model, fields)]
    if len({len(array) for array in arrays}) != 1 or not len(arrays[0]):
        raise ShapeError(
            f"fields are rows of the same images, one or more, not {', '.join(str(array.shape) for array in arrays)}"
        )
    image_shape = tuple(image_shape or model.config.get("image_shape", ())) or None
    if image_shape is not None and int(np.prod(image_shape)) != model.data_size:
        raise ConfigError(f"image_shape {image_shape} does not hold the model's {model.data_size} pixels")
    with threadpool_limits(1, user_api="blas"):  # as training does; its products are too small to share
        taken = Taken(model, arrays, eps, seed, lr)
        return _Telling(taken, image_shape).tell(title or model.described, [*notes, lessons.FLOAT64])


class _Telling:
    """Turns the calls of a step that was taken into Steps."""

    def __init__(self, taken, image_shape):
        self.taken, self.image_shape, self.steps = taken, image_shape, []
        self.tree = Tree(taken.twin, taken.forward, {key: NODES.get(key, (key, "given")) for key in taken.given})
        self.arrays = Arrays(taken, image_shape)

    def tell(self, title, notes):
        taken = self.taken
        self.tell_input(notes[:-1])
        for k, call in enumerate(taken.forward):
            self.tell_call(call)
            if taken.painted.get(call.path) and call.path not in (later.path for later in taken.forward[k + 1 :]):
                self.tell_painted(call, *taken.painted[call.path])
        self.tell_loss()
        for call in taken.backward:
            self.tell_call(call)
        self.steps += told_update(taken, self.arrays, self.tree.place(taken.forward[-1]))
        return Trace(title, self.steps, self.tree, self.image_shape, taken.loss, taken.loss_after, notes)

    def add(self, key, phase, title, place, text, function, values, **more):
        self.steps.append(
            Step(key, phase, title, place, text, function=function, sources=source_of(function), values=values, **more)
        )

    def tell_input(self, notes):
        """What came in, the sum that is minimised, and what is about to happen."""
        taken, model = self.taken, self.taken.model
        rows, fields = len(taken.dL), [field for field in taken.given if field != "eps"]
        title, count = ("The image goes in", "One image") if rows == 1 else (f"{rows} images go in", f"{rows} images")
        text = []
        if "images" in fields:
            text.append(lessons.pixels(count, model.data_size, self.image_shape, taken.given["images"]))
        if others := [field for field in fields if field != "images"]:
            text.append(f"With {'each' if rows > 1 else 'it'}: {lessons.listed(others)}.")
        weights = getattr(model.objective, "weights", None)
        text.append(lessons.OPENING.format(
            parts=len(self.tree.places), terms=lessons.listed(model.terms), count=taken.twin.buffer.trained,
            sum=lessons.weighted(weights) if weights else "made of them",
        ))  # fmt: skip
        values = [self.arrays.given(field, NODES.get(field, (field,))[0]) for field in fields]
        self.add("input", "forward", title, fields[0], " ".join([*text, *notes]), type(model).forward, values)
        if "eps" in taken.given:
            lines = (r"\varepsilon \sim \mathcal{N}(0, I)", *lessons.formulas((3,), "forward"))
            values, more = [self.arrays.given("eps", "ε")], {"equations": (3,), "formulas": lines, "ran": taken.drawn}
            self.add("noise", "forward", "The noise ε", "eps", lessons.NOISE, rng.normal, values, **more)

    def tell_call(self, call):
        """The Step of one recorded call."""
        place, name = self.tree.place(call), call.name
        if name == "plus" and call.phase == "backward":
            name = "plus_backward"
        values = self.values_of(call)
        meetings = self.meetings_of(call, values)
        if not call.before:  # what it adds up was written down on its way
            for meeting in meetings:
                total = meeting.total
                values += [
                    Value(f"{total.name} {label}", "in", total.axes, part, same=total.same)
                    for label, part in meeting.parts
                ]
                values.append(total)
        key = f"{call.phase}-{place or 'model'}"
        if key in (step.key for step in self.steps):  # a second one in one place
            key += f"-{call.name or 'lines'}" + (f"-{call.nth + 1}" if call.nth else "")
        numbers = lessons.equations(call.function) if name else ()
        lines = lessons.SUMS.get(name) or lessons.formulas(numbers, call.phase)
        self.add(
            key, call.phase, self.title(call, place), place, lessons.said(call, name, numbers, holds(call.module)),
            call.function, values, where=call.path, words=lessons.words(numbers) if len(numbers) == 1 else "",
            equations=numbers, meetings=meetings, formulas=lines,
        )  # fmt: skip
        self.arrays.wrote(call, key)

    def title(self, call, place):
        if call.meets:
            return "Where two gradients meet"
        title = self.tree.titles[place]
        if call.phase == "forward":
            return title
        several = sum(other.path == call.path for other in self.taken.backward) > 1
        own = call.name is None and (several or holds(call.module)) and not title.endswith("its own")
        undone = {f"{one.name}_backward" for one in self.taken.forward if one.path == call.path}
        also = call.name not in (None, "plus", *undone)
        return f"Back through {title}{': lines of its own' * own}{f': {lessons.named(call.function)}' * also}"

    def values_of(self, call):
        """The arrays of a call, but for scratch that nobody looks at."""
        found = []
        for argument in call.arrays:
            scratch, rows = (call.name, argument) in lessons.SCRATCH, len(self.taken.dL)
            if scratch and len(call.arrays[argument]) == rows:  # of many images it holds some at a time
                found.append(self.arrays.of(call, argument, lessons.SCRATCH[call.name, argument]))
            elif not argument.startswith("work") and (argument not in call.meets or call.before):
                found.append(self.arrays.of(call, argument))
        return found

    def meetings_of(self, call, values):
        """The sums that a call makes of gradients, where each comes through a part of its own."""
        found = []
        for argument, parts in call.meets.items():
            total = next((value for value in values if value.role == "out"), None) or self.arrays.of(call, argument)
            places = [self.comes_through(*part) for part in parts]
            if None not in places and len(set(places)) == len(places):
                nodes = [self.tree.nodes[place] for place in places]
                labels = [f"through {node.label} {node.below}".strip() for node in nodes]
                shown = [
                    (label, one.after[part].reshape(total.data.shape))
                    for label, (one, part) in zip(labels, parts, strict=True)
                ]
                found.append(Meeting(shown, total, places))
        return found

    def comes_through(self, call, argument):
        """The node that a part of a sum comes through, or None."""
        place = self.tree.place(call)
        if call.name == "plus":
            key = self.arrays.source(call, argument)
            place = next((step.place for step in self.steps if step.key == key), None)
        return place if place in self.tree.nodes else None

    def tell_painted(self, call, mean, painting):
        """What the decoder paints: for a Bernoulli likelihood a sigmoid, for a Gaussian its output as it is."""
        function = painting.function if painting else type(call.module).mean
        numbers = lessons.equations(function) if painting else ()
        values = [value for argument in call.arrays if (value := self.arrays.of(call, argument)).came]
        if values:
            x = values[0]
            values.append(Value("x̂", "out", x.axes, mean.reshape(x.data.shape), x.kind, same=x.same))
        place, lines = self.tree.place(call), lessons.formulas(numbers, "forward")
        more = {"where": call.path, "equations": numbers, "formulas": lines}
        key, title = f"painted-{call.path}", "What it would paint"
        self.add(key, "forward", title, place, lessons.PAINTED, function, values, **more)

    def tell_loss(self):
        """The last step of forward is the objective's: what it has come to, as one number."""
        step, weights = self.steps[-1], getattr(self.taken.model.objective, "weights", None)
        step.values.append(Value("ℒ", "out", (), np.float64(self.taken.loss), note=self.taken.model.unit))
        if weights:
            step.formulas = (lessons.objective(weights, len(self.taken.dL)),)
        if weights == {"reconstruction": 1.0, "kl": 1.0}:
            step.equations, step.words = (36,), lessons.words((36,))
