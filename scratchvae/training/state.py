"""Values that a module changes as it trains and that are no Parameters: a running mean, a counter, a generator of
noise.

Training computes on replicas of a model, in several processes, and a checkpoint holds its Parameters. So such a value
would differ from shard to shard, be missing where the model is validated, and be lost on resume. What forward only
remembers for backward is none of these: it is written anew before it is read. The two are told apart by a trial, not by
their names.
"""

import copy

import numpy as np

from .. import gate, rng
from ..errors import ConfigError
from ..evaluate.batch import fields_of, gathered, terms_of
from ..nn import Module, Parameter

ROWS = 4  # images in a trial
NEAR = 1e-4  # far above rounding, far below what a value of the past contributes where it counts
HOUSE = "scratchvae."  # whose modules keep none, as a test says
OURS = ("arena", "backend", "buffer", "part", "training")
OUTCOME = "what the step computed"


def refuse_state(model, fields):
    """Raise ConfigError naming the module and the attribute in which a model keeps more than its Parameters from step
    to step.

    fields: {name: (N, …)} with all that the model reads, or images alone: it is tried on the first few rows. The model
    is left alone: replicas of it run, in which a module that changes what it is given, or returns a gradient of another
    shape, is refused too. An attribute is state when a step changes it, and when another value of it before that step
    makes another outcome, or another value after it; the other value of one that a first step makes is what a step on
    other images leaves.
    """
    owners = [path for path, module in model.modules() if not type(module).__module__.startswith(HOUSE)]
    if not owners:
        return
    trial = _Trial(model, owners, fields_of(model, fields))
    before, after = trial.step({})
    if not trial.step_ends_alike(after, {}, {}):
        raise ConfigError(
            f"{type(model).__name__} computes two different losses for one input: its modules draw noise that no seed "
            "repeats. Let the "
            "model ask for eps (noise_columns), which is the same on any number of threads and after resume"
        )
    moved = {place: _differs(before[place], after[place], 0) for place in before if place in after}
    moved = {place: where for place, where in moved.items() if any(np.any(part) for part in where)}
    others = {place: _other(before[place]) for place in moved}
    _, elsewhere = trial.step({}, elsewhere=True)
    for place in sorted(after.keys() & elsewhere.keys() - before.keys() - {OUTCOME}):  # which a first step makes
        moved[place], others[place] = [np.True_] * len(_leaves(after[place])), elsewhere[place]
    if trial.step_ends_alike(after, others, moved):
        return
    for place, other in others.items():
        if not trial.step_ends_alike(after, {place: other}, {place: moved[place]}):
            path, name = place
            raise ConfigError(
                f"{_named(dict(model.modules())[path], path)} changes self.{name} in a step, and "
                "depends on it in the next. It is no Parameter, so replicas, checkpoints and resume would not have it: "
                "compute from Parameters and arguments alone, and take noise as eps"
            )


def _named(module, path):
    return f"{type(module).__name__}{f' ({path})' if path else ''}"


def _watch(module, name, get):
    """Let this module raise ConfigError where it breaks the contract of every Module, however it came to be called."""
    forward, backward, shapes = module.forward, module.backward, []

    def untouched(function, given, what):
        before = [get(array).tobytes() for array in given if hasattr(array, "dtype")]
        returned = function(*given)
        if before != [get(array).tobytes() for array in given if hasattr(array, "dtype")]:
            raise ConfigError(
                f"{name} changes {what} in place: leave what it is given as it is, and return another array"
            )
        return returned

    def watched_forward(*inputs):
        shapes[:] = [getattr(x, "shape", None) for x in inputs]
        returned = untouched(forward, inputs, "an input of forward")
        if returned is None or isinstance(returned, list):
            raise ConfigError(
                f"{name}: forward returns an array, or a tuple of them, not {gate.shown(returned)}: is a return "
                "missing?"
            )
        return returned

    def watched_backward(*gradients):
        returned = untouched(backward, gradients, "the gradient that backward is given")
        for shape, dX in zip(shapes, returned if isinstance(returned, tuple) else [returned], strict=False):
            if dX is not None and getattr(dX, "shape", None) != shape:
                raise ConfigError(
                    f"{name}: backward returns a gradient of shape {np.shape(dX)} for an input of shape {shape}"
                )
        return returned

    module.forward, module.backward = watched_forward, watched_backward


class _Trial:
    def __init__(self, model, owners, fields):
        rows = np.arange(min(ROWS, len(fields[0])))
        inputs = gathered(model.replica().to("numpy"), fields, rows)
        if model.noise_columns:
            inputs.append(rng.normal(0, rng.CHECK, 0, rows, model.noise_columns, model.dtype.type))
        self.model, self.owners, self.inputs = model, owners, [model.backend.put(array) for array in inputs]

    def step(self, values, elsewhere=False):
        """One forward and backward of a replica that holds these values → its attributes {(path, name): value} before
        and after."""
        replica = self.model.replica().train()
        modules = dict(replica.modules())
        for path in self.owners:
            _watch(modules[path], _named(modules[path], path), replica.backend.get)
        for (path, name), value in values.items():
            vars(modules[path])[name] = copy.deepcopy(value)
        before = self._attributes(modules)
        with np.errstate(all="ignore"):
            inputs = [x * 0.5 + 0.25 if elsewhere and x.dtype.kind == "f" else x for x in self.inputs]
            terms = terms_of(replica, replica.forward(*inputs))
            computed = [replica.backend.get(term).copy() for term in terms]
            replica.descend(replica.backend.put(np.ones(len(inputs[0]), replica.dtype)))
        computed.append(replica.backend.get(replica.buffer.grads).copy())
        return before, {**self._attributes(modules), OUTCOME: computed}

    def step_ends_alike(self, after, values, moved):
        """Whether a step that begins with these values computes what the first one did, and leaves the same values
        behind."""
        try:
            _, other = self.step(values)
        except Exception:
            if not values:
                raise
            return False  # whatever went wrong did so because of them
        looked_at = {OUTCOME: [True] * len(after[OUTCOME]), **moved}
        for place, where in looked_at.items():
            apart = _differs(after[place], other.get(place), NEAR)
            if any(np.any(part & there) for part, there in zip(apart, where, strict=len(apart) == len(where))):
                return False
        return True

    def _attributes(self, modules):
        """Copies of what the modules hold beside Parameters and other modules."""
        return {
            (path, name): copy.deepcopy(value)
            for path in self.owners
            for name, value in vars(modules[path]).items()
            if name not in OURS
            and not isinstance(value, (Module, Parameter))
            and _leaves(value)
        }


def _differs(a, b, near):
    """[where they differ] for each array, number and generator in a value; where the shapes do, everywhere."""
    a, b = _leaves(a), _leaves(b)
    if len(a) != len(b):
        return [np.True_] * max(len(a), len(b), 1)
    return [
        np.True_ if x.shape != y.shape or x.dtype.kind != y.dtype.kind
        else x != y if x.dtype.kind not in "fc"
        else ~np.isclose(x, y, rtol=near, atol=near, equal_nan=True)
        for x, y in zip(a, b, strict=True)
    ]  # fmt: skip


def _leaves(value):
    """The arrays, numbers and generators in a value, as arrays."""
    if isinstance(value, np.random.Generator):
        return [np.asarray(repr(value.bit_generator.state))]
    if isinstance(value, np.random.RandomState):
        return [np.asarray(repr(value.get_state()))]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _leaves(item)]
    if isinstance(value, (bool, int, float, complex)):
        return [np.asarray(value)]
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return [np.asarray(value.get() if hasattr(value, "get") else value)]
    return []


def _other(value):
    """The same kind of value with every number in it changed, by as much as it is at least, and every generator further
    on."""
    if isinstance(value, (np.random.Generator, np.random.RandomState)):
        value = copy.deepcopy(value)
        value.random()
        return value
    if isinstance(value, dict):
        return {key: _other(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_other(item) for item in value)
    if isinstance(value, (bool, np.bool_)):
        return not value
    if isinstance(value, (int, float, complex)) or hasattr(value, "dtype"):
        kind = (value if hasattr(value, "dtype") else np.asarray(value)).dtype.kind
        return ~value if kind == "b" else value + 1 if kind in "iu" else value + abs(value) + 1
    return value
