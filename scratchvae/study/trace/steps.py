"""trace: run one training step of a model on replicas, and tell it step by step."""

import numpy as np
from threadpoolctl import threadpool_limits

from ... import rng
from ...errors import ConfigError, ShapeError
from ...training.optimisers import Optimiser
from ...training.step import TrainingStep
from . import lessons
from .axes import axes_for, axes_of
from .graph import Graph
from .lessons import LESSONS, equations, lesson_of
from .numeric import Numeric
from .parts import Split, Step, Trace, Value
from .record import listen, source_of

LATENTS, PIXELS = ("image", "latent"), ("image", "pixel")
TERMS = {"reconstruction": "−log p(x | z)", "kl": "KL"}


def trace(model, x, eps=None, *, seed=0, lr=1e-3, image_shape=None, title=None, notes=()):
    """One training step of a model, written down → Trace. The model is left alone: replicas in float64 are what runs.

    x (B, D) in [0, 1] · eps (B, L), or None for the noise of training step 0 under `seed` · lr: of Adam, which starts fresh ·
    image_shape: (height, width), or in colour (height, width, 3), when the D numbers are to be shown as pictures ·
    notes: sentences for the page.

    Raises ShapeError or ConfigError when x, eps or image_shape does not fit the model, or the model has other parts than these.
    """
    held = dict(model.children())
    if missing := [room for room in ("encoder", "decoder", "likelihood") if room not in held]:
        needed = "the microscope shows models of an encoder, a decoder and a likelihood"
        raise ConfigError(f"{needed}: {type(model).__name__} has no {missing[0]}")
    x = np.atleast_2d(np.asarray(x, np.float64))
    if x.ndim != 2 or x.shape[1] != model.data_size or not len(x):
        raise ShapeError(f"the model takes (images, {model.data_size}), not {x.shape}")
    if image_shape is not None and int(np.prod(image_shape)) != model.data_size:
        raise ConfigError(f"image_shape {tuple(image_shape)} does not hold the model's {model.data_size} pixels")
    with threadpool_limits(1, user_api="blas"):  # as training does; its products are too small to share
        return _Telling(model, x, eps, seed, lr).tell(image_shape, title, notes)


class _Telling:
    """Runs the step, and turns the calls that were recorded into Steps."""

    def __init__(self, model, x, eps, seed, lr):
        self.drawn = eps is None
        if self.drawn and model.noise_columns:
            eps = rng.normal(seed, rng.LATENT, 0, np.arange(len(x)), model.noise_columns, np.float64)
        eps = np.asarray(eps, np.float64) if model.noise_columns else None
        self.model, self.x, self.eps, self.lr = model, x, eps, lr
        self.dL, self.L = np.full(len(x), 1 / len(x)), model.latent
        self.axes = axes_of(model)
        self.steps, self.made = [], {}
        self.run()
        self.numeric = Numeric(model, x, eps, self.dL, seed)

    def run(self):
        """Forward, backward, update and forward again, on one replica that writes its calls down."""
        self.twin = twin = self.model.replica(np.float64)
        calls = listen(twin, whole=LESSONS)

        def taken():
            held, calls[:] = list(calls), []
            return held

        inputs = [self.x] if self.eps is None else [self.x, self.eps]
        self.terms = dict(zip(twin.terms, twin.forward(*inputs), strict=True))
        self.forward = taken()
        output = next(iter(_calls_of("likelihood", self.forward)[0].before.values()))  # what it was given first
        encoder = _calls_of("encoder", self.forward)
        self.first, self.last = encoder[0].path, encoder[-1].path  # what leaves the last is the code
        self.graph = Graph(self.model, [call.path for call in self.forward])
        self.reconstruction = twin.likelihood.mean(output, np.empty_like(output))
        self.painting = taken()
        twin.descend(self.dL)
        self.backward = taken()
        self.before = twin.buffer.values.copy()
        optimiser = Optimiser("adam", backend=twin.backend)  # whose operations write themselves down too
        optimiser.start(twin.buffer.values)
        optimiser.update(slice(None), twin.buffer.values, twin.buffer.grads, np.empty_like(self.before), self.lr, 1)
        (self.adam,) = taken()
        self.after = dict(zip(twin.terms, twin.forward(*inputs), strict=True))

    def tell(self, image_shape, title, notes):
        notes = [*notes, lessons.FLOAT64]
        self.tell_input(notes, image_shape)
        for call in self.forward:
            if call.name == "reparameterise":
                noise = [Value("ε", "out", LATENTS, self.eps)]
                self.add("noise", "forward", "The noise ε", ("eps",), lessons.NOISE, rng.normal, noise, ran=self.drawn)
            self.tell_call(call, "forward")
        self.tell_reconstruction()
        self.tell_loss()
        for call in self.backward:
            if call.path == self.last and self.eps is not None:
                self.tell_split(call.before["dY"])
            self.tell_call(call, "backward")
        self.tell_update()
        losses = self.loss(self.terms), self.loss(self.after)
        return Trace(title or self.model.described, self.steps, self.graph, image_shape, *losses, notes)

    # One step each ----------------------------------------------------------------------------------------------------

    def tell_input(self, notes, image_shape):
        title = "The image goes in" if len(self.x) == 1 else f"{len(self.x)} images go in"
        count = "One image" if len(self.x) == 1 else f"{len(self.x)} images"
        grey = image_shape is None or len(image_shape) == 2
        pixels = f"{self.model.data_size} pixels" if grey else f"{image_shape[0] * image_shape[1]} pixels in {image_shape[2]} colours"
        dark, bright = ("black", "white") if grey else ("none of a colour", "all of it")
        text = lessons.INPUT.format(count=count, pixels=pixels, dark=dark, bright=bright, notes=" ".join(notes))
        values = [Value("x", "out", PIXELS, self.x, "image")]
        self.add("input", "forward", title, ("x",), text, type(self.model).forward, values, numbers=())

    def tell_call(self, call, phase):
        """The Step of one recorded call."""
        lesson = lesson_of(call)
        values = []
        for argument, name in lesson.names.items():
            data = (call.after if argument in lesson.writes else call.before).get(argument)
            if data is not None:  # dX is None in the first layer
                kind = "image" if argument == "x" and call.path in (self.first, "likelihood") else "signed"
                role = "out" if argument in lesson.writes else "in"
                check = self.check(call, argument, data) if role == "out" and phase == "backward" else None
                values.append(Value(name, role, axes_for(self.axes, call, argument, data), data, kind, check))
        text, places = lesson.text, (self.place(call),)
        if phase == "forward" and call.path == self.last and self.eps is None:
            places += ("z",)
        elif phase == "forward" and call.path == self.last:
            mu, logvar = np.hsplit(values[-1].data, 2)
            values += [Value("μ", "out", LATENTS, mu), Value("log σ²", "out", LATENTS, logvar)]
            text += f" This output is the posterior: its first {self.L} columns are μ, the others log σ²."
            places += ("mu", "logvar")
        if "dX" in lesson.names and "dX" not in call.before:
            text += lessons.FIRST_LAYER
        title, key = self.graph.title(places[0], phase), f"{phase}-{places[0]}"
        if key in (step.key for step in self.steps):  # a second operation in one place
            key += f"-{call.name}"
        self.add(key, phase, title, places, lesson._replace(text=text), call.function, values)

    def tell_reconstruction(self):
        """What the decoder paints: for a Bernoulli likelihood a sigmoid, for a Gaussian its output as it is."""
        formula = r"\hat{x} = \frac{1}{1 + e^{-a}}" if self.painting else r"\hat{x} = m"
        function = self.painting[0].function if self.painting else type(self.model.likelihood).mean
        lesson = lessons.Lesson((formula,), lessons.PAINTED, {}, ())
        values = [Value("x", "in", PIXELS, self.x, "image"), Value("x̂", "out", PIXELS, self.reconstruction, "image")]
        numbers = equations(function) if self.painting else ()
        self.add("reconstruction", "forward", "The reconstruction", ("xhat",), lesson, function, values, numbers=numbers)

    def tell_loss(self):
        kl, beta = "kl" in self.terms, getattr(self.model, "beta", 1.0)
        price = r"-\log p(x \mid z)" + (r" + \mathrm{KL}" if beta == 1 else rf" + {beta:g}\,\mathrm{{KL}}") * kl
        formula = rf"\mathcal{{L}} = s \sum_{{\text{{images}}}} \left( {price} \right),\quad s = \frac{{1}}{{{len(self.x)}}}"
        values = [Value(TERMS[name], "in", ("image",), term) for name, term in self.terms.items()]
        note = "nats per image, summed over pixels, mean over images"
        values.append(Value("ℒ", "out", (), np.float64(self.loss(self.terms)), note=note))
        lesson = lessons.Lesson((formula,), lessons.LOSS if kl else lessons.LOSS_ALONE, {}, ())
        numbers = (36,) if kl and beta == 1 else ()
        self.add("loss", "forward", "The loss", ("loss",), lesson, TrainingStep._forward_backward, values, numbers, ran=False)

    def tell_split(self, total):
        """Where the gradient of the reconstruction and that of the KL add up: the last two steps, and their sum."""
        through_z, from_kl = (np.hstack([v.data for v in step.values if v.role == "out"]) for step in self.steps[-2:])
        check = self.numeric.of_output("encoder", total, slice(None), self.twin.terms)
        values = [Value("dμ", "out", LATENTS, total[:, : self.L]), Value("d log σ²", "out", LATENTS, total[:, self.L :])]
        title, split = "Where two gradients meet: μ and log σ²", Split(through_z, from_kl, total, check)
        function = self.model.backend.ops.posterior_backward
        self.add("split", "backward", title, ("mu", "logvar"), lessons.SPLIT, function, values, split=split)
        self.made[total.tobytes()] = "split"

    def tell_update(self):
        """Adam on one block, the encoder's last weights, where both gradients have arrived; and the loss after it."""
        name = [name for name in self.twin.buffer.names if name.startswith("encoder.") and name.endswith(".W")][-1]
        axes = self.axes[name.removesuffix(".W")]
        view, adam = self.twin.buffer.view, self.adam.function
        g, m, v, after = (view(name, self.adam.after[key]) for key in ("g", "m", "v", "p"))
        before = view(name, self.before)
        lesson = lessons.MOMENTS._replace(text=lessons.MOMENTS.text.format(name=name))
        values = [Value("g", "in", axes, g), Value("m / (1 − β₁)", "out", axes, m), Value("v / (1 − β₂)", "out", axes, v)]
        self.add("update-moments", "update", "Adam: the moments", ("adam",), lesson, adam, values)
        lesson = lessons.UPDATE._replace(text=lessons.UPDATE.text.format(name=name, lr=self.lr, eps=self.adam.before["eps"]))
        values = [("p before", "in", before), ("p after − p before", "out", after - before), ("p after", "out", after)]
        values = [Value(name, role, axes, data) for name, role, data in values]
        self.add("update-weights", "update", "Adam: the update", ("adam",), lesson, adam, values)
        losses = self.loss(self.terms), self.loss(self.after)
        values = [Value("ℒ before", "in", (), np.float64(losses[0]))]
        values += [Value(f"{TERMS[name]} after", "out", ("image",), term) for name, term in self.after.items()]
        values.append(Value("ℒ after", "out", (), np.float64(losses[1]), note="nats per image"))
        first = view(f"{self.first}.W", self.adam.after["g"]) == 0
        if len(first) == self.model.data_size:  # a row for each pixel: the first layer is dense
            note = "of its weights in the first layer, the share whose gradient is exactly 0"
            values.append(Value("stays, per pixel", "out", ("pixel",), first.mean(axis=1), "image", note=note))
        self.add("after", "update", "One step later", ("loss",), self.tell_who_moved(), TrainingStep._update, values, (), ran=False)

    def tell_who_moved(self):
        """How many parameters the update has changed, and why the others stay → text"""
        g, moved = self.adam.after["g"], int(np.sum(self.adam.after["p"] != self.before))
        zero, stayed, silent, shut = int(np.sum(g == 0)), self.before.size - moved, 0, 0
        for call in self.backward:
            if call.name == "affine_backward":  # dW = Xᵀ dY is 0 where one of them is; db = Σ dY
                inputs, outputs = call.after["dW"].shape
                dark, dead = (inputs - call.before["x"].any(axis=0).sum(), outputs - call.before["dY"].any(axis=0).sum())
                silent, shut = silent + int(dark * outputs), shut + int((inputs - dark + 1) * dead)
        text = lessons.AFTER.format(count=self.before.size, moved=moved, before=self.loss(self.terms), after=self.loss(self.after))
        if zero:
            rest = lessons.OTHERS.format(count=zero - silent - shut) if zero > silent + shut else ""
            text += lessons.STAYED.format(zero=zero, share=zero / self.before.size, silent=silent, shut=shut, rest=rest)
        return text + (lessons.TOO_SMALL.format(count=stayed - zero) if stayed > zero else "")

    # What they share --------------------------------------------------------------------------------------------------

    def add(self, key, phase, title, places, lesson, function, values, numbers=None, split=None, ran=True):
        """Append a Step, with a link from each array that came in to the step that made it. lesson: a Lesson, or a text alone."""
        for value in values:
            found = value.data.tobytes()  # in whatever shape: Flatten and Reshape copy nothing
            if value.role == "out":
                self.made[found] = key
            else:
                value.source = self.made.get(found)
        formulas, text = ((), lesson) if isinstance(lesson, str) else lesson[:2]
        numbers = equations(function) if numbers is None else numbers
        self.steps.append(Step(key, phase, title, places, text, numbers, formulas, function, source_of(function), values, split, ran))

    def check(self, call, argument, gradient):
        """The numeric twin of a gradient that this call wrote, or None where the code has no such place of its own."""
        if argument in call.gradients:
            return self.numeric.of_parameter(f"{call.path}.{call.gradients[argument]}", gradient)
        if call.name in ("reparameterise_backward", "gaussian_kl_backward"):
            terms = ("kl",) if call.name == "gaussian_kl_backward" else ("reconstruction",)
            columns = slice(0, self.L) if argument == "dmu" else slice(self.L, None)
            return self.numeric.of_output("encoder", gradient, columns, terms)
        return self.numeric.of_input(call.path, gradient) if argument in ("dX", "out", "dmean") else None

    def place(self, call):
        """The node of the graph where a call belongs."""
        place = {"reparameterise": "z", "gaussian_kl": "kl"}.get(call.name.removesuffix("_backward"), call.path)
        return "nll" if place == "likelihood" else place

    def loss(self, terms):
        """The objective: the mean over the images of the weighted sum of the terms, as training reports it."""
        return float(sum(self.model.weights[name] * term.sum() for name, term in terms.items()) / len(self.x))


def _calls_of(room, calls):
    """Those that a module, or one below it, made, by the name under which the model holds it."""
    return [call for call in calls if call.path == room or call.path.startswith(f"{room}.")]
