"""Optimisers: which update is applied, with which settings, and the moments it keeps, each one flat array."""

import numpy as np  # zeros_like makes an array of the library that its argument is of

from .. import backend as backends
from .. import gate
from ..errors import ConfigError

# A moment of a weight that is seldom used decays towards 0 and would stay for ever among the denormals, numbers below
# 1e-38 that a processor handles some hundred times slower. Every so many steps, moments too small to move a weight
# become 0. The CUDA twins have no such pass and need none: a GPU is as fast with denormals, which CuPy compiles to 0 in
# float32 (launch.OPTIONS), and since these moments move no weight, both backends train alike.
FLUSH_EVERY, NEGLIGIBLE = 128, 1e-30

# name → the moments it keeps and the settings it takes, with their defaults; the update is the operation of that name
OPTIMISERS = {
    "sgd": ((), {}),
    "momentum": (("velocity",), {"mu": 0.9}),
    "nesterov": (("velocity",), {"mu": 0.9}),
    "rmsprop": (("square",), {"rho": 0.99, "eps": 1e-8}),
    "adagrad": (("square",), {"eps": 1e-10}),
    "adam": (("m", "v"), {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}),
    "adamw": (("m", "v"), {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.01}),
}


# What each setting may be. A rate of 1 would learn of no gradient, and Adam's corrections would divide by 0; an eps
# that float32 takes for 0 makes 0/0 of a gradient that is 0.
BOUNDS = {
    "mu": {"least": 0, "below": 1}, "rho": {"least": 0, "below": 1}, "beta1": {"least": 0, "below": 1},
    "beta2": {"least": 0, "below": 1}, "eps": {"least": 1e-30}, "decay": {"least": 0},
}  # fmt: skip


class Optimiser:
    """One update of the flat parameters per step (E24 to E30).

    moments: {name: (N,)}, of which averages are divided by 1 − β, as `ops.numpy.optimisers` keeps them · weight_decay:
    λ adds λ p to the gradient of every optimiser but AdamW, whose own `decay` is not part of the gradient.
    """

    def __init__(self, name="adam", weight_decay=0.0, backend=backends.NUMPY, **settings):
        """Raises ConfigError for a name or a setting that does not exist, or one that is out of its bounds."""
        self.moment_names, defaults = OPTIMISERS[gate.choice("optimiser", name, OPTIMISERS)]
        if unknown := set(settings) - set(defaults):
            raise ConfigError(
                f"{name} has no setting {', '.join(sorted(unknown))}: it takes {', '.join(defaults) or 'none'}"
            )
        settings = {key: gate.number(f"{name}'s {key}", value, **BOUNDS[key]) for key, value in settings.items()}
        weight_decay = gate.number("weight_decay", weight_decay, least=0)
        if weight_decay and name == "adamw":
            raise ConfigError("adamw takes its weight decay as the setting decay=…")
        self.name, self.weight_decay, self.settings = name, float(weight_decay), {**defaults, **settings}
        self._update = getattr(backend.ops, name)
        self._decay = backend.ops.weight_decay
        self.moments = {}

    @property
    def config(self):
        return {"name": self.name, "weight_decay": self.weight_decay, **self.settings}

    def start(self, values):
        """Make moments of zeros for these flat values (N,)."""
        if getattr(values, "ndim", 0) != 1:
            raise ConfigError(
                "an optimiser starts on the flat values (N,) of a model, as model.buffer.values, not "
                f"{gate.shown(values)}"
            )
        self.moments = {name: np.zeros_like(values) for name in self.moment_names}

    def update(self, part, values, grads, work, lr, step):
        """Update values[part] in place with grads[part].   work: scratch of the part's size · step counts from 1"""
        p, g = values[part], grads[part]
        if self.weight_decay:
            self._decay(p, g, work, self.weight_decay)
        moments = [moment[part] for moment in self.moments.values()]
        self._update(p, g, *moments, work, lr, step, **self.settings)
        if step % FLUSH_EVERY == 0:
            for moment in moments:
                moment[np.abs(moment) < NEGLIGIBLE] = 0
