"""One training step, taken on replicas that write down what they do."""

import numpy as np

from ... import rng
from ...evaluate.batch import gathered, terms_of
from ...nn import Part
from ...training.optimisers import Optimiser
from .numeric import Numeric
from .record import Recorder


class Taken:
    """The step, in float64.

    given: {field or "eps": array} that came in · dL (B,): what each image counts · forward, backward: [Call] · adam:
    the Call of the update · terms, after: those of the objective before and after it · loss, loss_after · values,
    grads: flat, before the update · painted: {path: (array, Call or None)} of modules that know a mean.
    """

    def __init__(self, model, arrays, eps, seed, lr):
        """arrays: of the fields that the model reads · eps, or None for that of step 0"""
        rows = len(arrays[0])
        self.model, self.lr, self.drawn = model, lr, eps is None
        self.twin = twin = twin_of(model, np.float64, seed)
        inputs = gathered(twin, arrays, np.arange(rows))
        self.dL, self.given = np.full(rows, 1 / rows), dict(zip(model.reads, inputs, strict=True))
        if model.noise_columns:
            if self.drawn:
                eps = rng.normal(seed, rng.LATENT, 0, np.arange(rows), model.noise_columns, np.float64)
            self.given["eps"] = np.array(eps, np.float64)
        inputs = list(self.given.values())
        self.recorder = Recorder(twin, [*inputs, self.dL])

        self.terms = self.during("forward", lambda: terms_of(twin, twin.forward(*inputs)))
        L = self.during("forward", lambda: twin.objective.forward(*self.terms))
        self.forward = self.recorder.take()
        self.during("backward", lambda: twin.descend(self.dL))
        self.backward = self.recorder.take()
        self.painted = {
            path: self.paint(path, module) for path, module in twin.modules() if hasattr(type(module), "mean")
        }
        self.update(twin.buffer)
        self.after = twin.forward(*inputs)
        self.loss, self.loss_after = (float(one @ self.dL) for one in (L, twin.objective.forward(*self.after)))

        cost = sum(array.size for call in self.forward for name, array in call.after.items() if name in call.outs)
        largest = np.abs(self.grads).max(initial=0)
        self.numeric = Numeric(twin_of(model, np.complex128, seed), inputs, self.dL, seed, cost, largest)

    def during(self, phase, run):
        """What run() returns, its calls written down."""
        self.recorder.phase = phase
        with np.errstate(all="ignore"):
            result = run()
        self.recorder.phase = ""
        return result

    def paint(self, path, module):
        """What a likelihood would paint for what it was given → (its mean, the Call that computed it or None), or None
        where it did not run"""
        if path not in self.recorder.inputs:
            return None
        output, x = self.recorder.inputs[path]
        mean = self.during("paint", lambda: module.mean(output, np.empty_like(x)))
        calls = self.recorder.take()
        return mean, calls[0] if len(calls) == 1 else None

    def update(self, buffer):
        """Adam, which starts fresh, on what is trained; what is not falls by its "gradient"."""
        self.values, self.grads = buffer.values.copy(), buffer.grads.copy()
        optimiser, work = Optimiser("adam", backend=self.twin.backend), np.empty(buffer.trained)
        optimiser.start(buffer.values)
        trained = slice(buffer.trained)
        self.during("update", lambda: optimiser.update(trained, buffer.values, buffer.grads, work, self.lr, 1))
        (self.adam,) = self.recorder.take()
        buffer.values[buffer.trained :] -= buffer.grads[buffer.trained :]


def twin_of(model, dtype, seed):
    """A replica that trains, and whose rows are the whole of batch 0."""
    twin = model.replica(dtype)
    assert twin.objective  # is of the tree from now on, whenever it was made
    for place, module in enumerate(module for _, module in twin.train().modules() if module.wants_part):
        module.part = Part(seed, 0, 0, 1.0, place)
    return twin
