"""trace: run one training step of a model on replicas, and tell it step by step."""

import numpy as np

from ... import rng
from ...errors import ConfigError
from ...training.optimisers import Optimiser
from ...training.step import TrainingStep
from .graph import Graph, axes_of
from .lessons import LESSONS, equations
from .numeric import Numeric
from .parts import Split, Step, Trace, Value
from .record import listen, source_of

AXES = {  # of each operation's arguments: i and o stand for the units that enter and leave, "row" for the images
    "affine": {"x": "row i", "W": "i o", "b": "o", "out": "row o"},
    "affine_backward": {"dY": "row o", "x": "row i", "W": "i o", "dX": "row i", "dW": "i o", "db": "o"},
    "likelihood": {"logits": "row pixel", "mean": "row pixel", "x": "row pixel", "work.0": "row pixel", "work": "row pixel",
                   "dmean": "row pixel", "dlogvar": "row pixel", "logvar": "pixel", "out": "row pixel", "scale": ""},
}  # fmt: skip


def trace(model, x, eps=None, *, seed=0, lr=1e-3, image_shape=None, title=None, notes=()):
    """One training step of a model, written down → Trace. The model is left alone: replicas in float64 are what runs.

    x (B, D) in [0, 1] · eps (B, L), or None for the noise of training step 0 under `seed` · lr: of Adam, which starts fresh ·
    image_shape: (height, width) when the D pixels are to be shown as pictures · notes: sentences for the page.
    """
    x = np.atleast_2d(np.asarray(x, np.float64))
    if x.shape[1] != model.data_size or not len(x):
        raise ConfigError(f"the model takes (images, {model.data_size}), not {x.shape}")
    if model.noise_columns and eps is None:
        eps = rng.normal(seed, rng.LATENT, 0, np.arange(len(x)), model.noise_columns, np.float64)
    return _Telling(model, x, None if eps is None else np.asarray(eps, np.float64), seed, lr).tell(image_shape, title, notes)


class _Telling:
    """Runs the step, and turns the calls that were recorded into Steps."""

    def __init__(self, model, x, eps, seed, lr):
        self.model, self.x, self.eps, self.lr = model, x, eps, lr
        self.scale = 1 / len(x)
        self.numeric = Numeric(model, x, eps, self.scale, seed)
        self.graph, self.axes = Graph(model), axes_of(model)
        self.steps, self.made = [], {}
        self.run()

    def run(self):
        """Forward, backward, update and forward again, on one replica."""
        self.twin = twin = self.model.replica(np.float64)
        calls = listen(twin)
        self.terms = {name: np.array(term) for name, term in twin.forward(self.x, self.eps).items()}
        self.forward, calls[:] = list(calls), []
        output = self.forward[-1].before
        self.reconstruction = twin.likelihood.mean(output.get("logits", output.get("mean")))
        self.mean_calls, calls[:] = list(calls), []
        twin.backward(self.scale)
        self.backward, calls[:] = list(calls), []
        self.grads = twin.buffer.grads.copy()
        self.before = twin.buffer.values.copy()
        optimiser = Optimiser("adam", backend=twin.backend)  # which is recorded too
        optimiser.start(twin.buffer.values)
        optimiser.update(slice(None), twin.buffer.values, twin.buffer.grads, np.empty_like(self.grads), self.lr, 1)
        (self.adam,), calls[:] = list(calls), []
        self.after = {name: np.array(term) for name, term in twin.forward(self.x, self.eps).items()}

    def tell(self, image_shape, title, notes):
        self.tell_input()
        for call in self.forward:
            if call.name == "reparameterise":
                self.tell_noise()
            self.tell_call(call, "forward")
        self.tell_output()
        for call in self.backward:
            if call.name == "affine_backward" and self.is_last_of_encoder(call.path) and self.eps is not None:
                self.tell_meeting(call.before["dY"])
            self.tell_call(call, "backward")
        self.tell_update()
        sizes = "-".join(map(str, [self.model.data_size, *self.model.config["hidden"], self.model.latent]))
        kind = {"vae": "VAE", "ae": "Autoencoder"}.get(self.model.kind, self.model.kind)
        notes = [*notes, "Computed in float64, so that the numeric check can show the formulas are right to 12 digits and more; training runs "
                 "the same code in float32."]  # fmt: skip
        return Trace(title or f"{kind} {sizes}", self.steps, self.graph, image_shape, self.loss(self.terms), self.loss(self.after), notes)

    # One step each ----------------------------------------------------------------------------------------------------

    def tell_input(self):
        count = "The image goes in" if len(self.x) == 1 else f"{len(self.x)} images go in"
        text = f"{count}: {self.model.data_size} pixels between 0 (black) and 1 (white) in a row. What follows is one call of this function."
        self.add("input", "forward", count, ("x",), text, function=type(self.model).forward, numbers=(),
                 values=[Value("x", "out", ("image", "pixel"), self.x, "image")])  # fmt: skip

    def tell_noise(self):
        text = ("ε is drawn from N(0, I) once per training step and then held still. It is a function of seed, stream, step, row and column, "
                "so that the same seed gives the same ε anywhere.")  # fmt: skip
        formulas = (
            r"\varepsilon_1 = \sqrt{-2 \ln u_1}\,\cos 2\pi u_2,\quad \varepsilon_2 = \sqrt{-2 \ln u_1}\,\sin 2\pi u_2",
            r"\varepsilon \sim \mathcal{N}(0, I)",
        )
        self.add("noise", "forward", "The noise ε", ("eps",), text, formulas, rng.normal,
                 [Value("ε", "out", ("image", "latent"), self.eps)])  # fmt: skip

    def tell_call(self, call, phase):
        """The Step of one recorded call."""
        lesson, writes = LESSONS[call.name], LESSONS[call.name].writes
        values = []
        for argument, name in lesson.names.items():
            data = (call.after if argument in writes else call.before).get(argument)
            if data is not None and np.issubdtype(data.dtype, np.number):
                image = name == "x" and call.path == "likelihood"
                values.append(Value(name, "out" if argument in writes else "in", self.axes_for(call, argument, data), data,
                                    "image" if image else "signed"))  # fmt: skip
        if call.name.endswith("_backward"):
            self.check(call, {lesson.names[a]: a for a in writes}, values)
        if phase == "forward" and self.is_last_of_encoder(call.path) and self.eps is not None:
            L = self.model.latent
            values += [Value("μ", "out", ("image", "latent"), values[-1].data[:, :L]), Value("log σ²", "out", ("image", "latent"), values[-1].data[:, L:])]
        places = ("mu", "logvar") if "μ" in [v.name for v in values if v.role == "out"] else ()
        place = {"reparameterise": "z", "gaussian_kl": "kl"}.get(call.name.removesuffix("_backward"), call.path)
        place = "nll" if call.path == "likelihood" else place
        text = lesson.text
        if call.name == "affine_backward" and "dX" not in [v.name for v in values]:
            text += " This is the first layer: nobody asks for the gradient of the image, so dX is not computed."
        self.add(f"{phase}-{place}", phase, self.graph.title(place, phase), (place, *places), text, lesson.formulas, call.function, values)

    def tell_output(self):
        """What the decoder paints, and the loss."""
        lesson = LESSONS["sigmoid"] if self.mean_calls else None
        text = "The mean of p(x | z): what the decoder would paint. Only for looking at: training needs the logits, not this."
        function = self.mean_calls[0].function if self.mean_calls else type(self.model.likelihood).mean
        formulas = (r"\hat{x} = \frac{1}{1 + e^{-a}}",) if lesson else (r"\hat{x} = m",)
        self.add("reconstruction", "forward", "The reconstruction", ("xhat",), text, formulas, function,
                 [Value("x", "in", ("image", "pixel"), self.x, "image"), Value("x̂", "out", ("image", "pixel"), self.reconstruction, "image")])  # fmt: skip
        names = {"reconstruction": "−log p(x | z)", "kl": "KL"}
        values = [Value(names[name], "in", ("image",), term) for name, term in self.terms.items()]
        values.append(Value("L", "out", (), np.float64(self.loss(self.terms)), note="nats per image, summed over pixels, mean over images"))
        beta = getattr(self.model, "beta", 1.0)
        times = "" if beta == 1 else rf"{beta:g}\,"
        kl = rf" + {times}\mathrm{{KL}}" if "kl" in self.terms else ""
        formulas = (rf"\mathcal{{L}} = s \sum_{{\text{{images}}}} \left( -\log p(x \mid z){kl} \right),\quad s = \frac{{1}}{{{len(self.x)}}}",)
        text = "Both prices in nats: how badly the image is redrawn, and how much z gives away. Their sum, −ELBO, is what training makes smaller."
        text = text if kl else "How badly the image is redrawn, in nats: this is what training makes smaller."
        self.add("loss", "forward", "The loss", ("loss",), text, formulas, TrainingStep._forward_backward, values,
                 numbers=(36,) if kl else ())  # fmt: skip

    def tell_meeting(self, total):
        """Where the gradient of the reconstruction and that of the KL add up."""
        L = self.model.latent
        z, kl = (np.hstack([v.data for v in self.steps[i].values if v.role == "out"]) for i in (-2, -1))
        check = self.numeric.of_output("encoder", total, slice(None), self.twin.terms)
        text = ("Two gradients meet at μ and log σ² and are added. The reconstruction pulls z to where the image is redrawn best, and σ down, "
                "because noise blurs; the KL pulls μ to 0 and σ to 1. Training ends where they cancel, on average over the images.")  # fmt: skip
        values = [Value("dμ", "out", ("image", "latent"), total[:, :L]), Value("d log σ²", "out", ("image", "latent"), total[:, L:])]
        formulas = (
            r"d\mu = dz + s\,\beta\,\mu", r"d\log\sigma^2 = \tfrac{1}{2}\,dz\,\varepsilon\,\sigma + s\,\beta\,\tfrac{1}{2} (\sigma^2 - 1)",
        )
        self.add("split", "backward", "Where two gradients meet: μ and log σ²", ("mu", "logvar"), text, formulas, type(self.model).backward,
                 values, numbers=(14, 16), split=Split(z, kl, total, check))  # fmt: skip

    def tell_update(self):
        """Adam on one block: the encoder's last weights, where both gradients arrive; and the loss after it."""
        name = [n for n in self.twin.buffer.names if n.startswith("encoder") and n.endswith("W")][-1]
        view, axes = self.twin.buffer.view, self.axes_for_weights(name)
        arrays = {key: view(name, self.adam.after[key]) for key in ("g", "m", "v", "p")}
        before, lesson = view(name, self.before), LESSONS["adam"]
        text = (f"Adam, shown on {name}. It starts fresh here (t = 1), so the moments are g and g² alone. They are stored divided by 1 − β₁ and "
                "1 − β₂, which leaves every update as published and saves two passes over memory.")  # fmt: skip
        values = [Value("g", "in", axes, arrays["g"]), Value("m / (1 − β₁)", "out", axes, arrays["m"]), Value("v / (1 − β₂)", "out", axes, arrays["v"])]
        self.add("update-moments", "update", "Adam: the moments", ("adam",), text, lesson.formulas[:1], self.adam.function, values)
        text = (f"Each weight of {name} moves against its gradient. At t = 1 the step is η = {self.lr:g} times the sign of g, however small g is; "
                "later the moments tell how sure the direction is.")  # fmt: skip
        values = [Value("p before", "in", axes, before), Value("p after − before", "out", axes, arrays["p"] - before), Value("p after", "out", axes, arrays["p"])]
        self.add("update-weights", "update", "Adam: the update", ("adam",), text, lesson.formulas[1:], self.adam.function, values)
        text = (f"All {self.before.size:,} parameters moved. The same images with the same ε cost "
                f"{self.loss(self.after):.4f} nats now, and {self.loss(self.terms):.4f} before.")  # fmt: skip
        names = {"reconstruction": "−log p(x | z) after", "kl": "KL after"}
        values = [Value(names[k], "in", ("image",), term) for k, term in self.after.items()]
        values = [Value("L before", "in", (), np.float64(self.loss(self.terms))), *values, Value("L after", "out", (), np.float64(self.loss(self.after)))]
        self.add("after", "update", "One step later", ("loss",), text, (), TrainingStep._update, values)

    # What they share --------------------------------------------------------------------------------------------------

    def add(self, key, phase, title, places, text, formulas=(), function=None, values=(), numbers=None, split=None):
        """Append a Step, with a link from each array that came in to the step that made it."""
        for value in values:
            found = value.data.tobytes(), value.data.shape
            if value.role == "out":
                self.made[found] = key
            else:
                value.source = self.made.get(found)
        numbers = equations(function) if numbers is None else numbers
        self.steps.append(Step(key, phase, title, places, text, numbers, formulas, source_of(function), list(values), split))

    def check(self, call, writes, values):
        """Put the numeric twin beside each gradient that this call wrote."""
        last, L = "encoder", self.model.latent
        for value in values:
            argument = writes.get(value.name)
            if argument in ("dW", "db"):
                value.check = self.numeric.of_parameter(f"{call.path}.{argument[1]}", value.data)
            elif argument in ("dmu", "dlogvar"):
                terms = ("kl",) if call.name == "gaussian_kl_backward" else ("reconstruction",)
                columns = slice(0, L) if argument == "dmu" else slice(L, None)
                value.check = self.numeric.of_output(last, value.data, columns, terms)
            elif argument in ("dX", "out", "dmean"):
                value.check = self.numeric.of_input(call.path, value.data)

    def axes_for(self, call, argument, data):
        """What each axis of an argument counts."""
        if call.path == "likelihood":
            names = AXES["likelihood"][argument]
        elif call.name in AXES:
            names = AXES[call.name][argument]
        elif call.path:  # an activation
            names = "row o"
        else:
            names = "row latent"
        units_in, units_out = self.axes.get(call.path, ("", ""))
        table = {"row": "image", "i": units_in, "o": units_out}
        return tuple(table.get(name, name) for name in names.split())[: data.ndim]

    def axes_for_weights(self, name):
        return self.axes[name.rsplit(".", 1)[0]]

    def is_last_of_encoder(self, path):
        return path == f"encoder.{len(self.model.encoder.layers) - 1}"

    def loss(self, terms):
        """The objective: the mean over the images of the weighted sum of the terms, as training reports it."""
        return float(sum(self.model.weights[name] * term.sum() for name, term in terms.items()) * self.scale)
