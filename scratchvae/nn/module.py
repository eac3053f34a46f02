"""The module system: a module is a class with `forward` and `backward` that may hold Parameters and other modules."""

import contextlib
import copy
import math
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from .. import backend as backends
from .. import gate
from ..errors import ConfigError, MissingError, ShapeError
from ..memory import require
from .arena import Plan
from .parameter import Parameter, ParameterBuffer

DRAWING = 28  # bytes for each number of the Parameter that is being drawn: words of 64 bits on their way to a float
FLOATS = "efdgFDG"  # the characters of their dtypes, real and complex: sooner read than the kind
FEWER = "fewer or narrower layers need less"


class Part(NamedTuple):
    """Which rows of which batch a replica computes: what noise, and statistics of the batch, are functions of."""

    seed: int = 0
    step: int = 0
    start: int = 0  # the place of the first of these rows in the batch
    share: float = 1.0  # of the rows of the batch
    place: int = 0  # of the module among those of its model that want to know: for noise of its own


class Module:
    """Base of everything that maps arrays forward and gradients backward.

    forward(*inputs) returns an array, or a tuple of them, and remembers what backward needs. backward(*gradients of the
    outputs) *writes* the gradient of each of the module's own Parameters into its `.grad` and returns the gradients of
    the inputs, None for one that is not needed. A term of a loss is an output (B,), and its gradient a number for each
    row. Neither changes what it is given. One backward belongs to one forward: a Parameter, and a module that
    remembers, stand in one place of one model.

    Arrays come from `self.new` and `self.work`, which in training give out the same memory in every step (`nn.arena`).
    Parameters, modules, and lists or tuples of modules are found in the instance's attributes, in order of assignment;
    nothing is registered anywhere.
    """

    backend = backends.NUMPY  # where its arrays live
    # the operations written for that; no call of Python's, since every module asks often
    ops = property(attrgetter("backend.ops"))
    buffer = None  # the ParameterBuffer, on the module that was initialised
    arena = None  # where arrays come from, in a step: a Plan or Kept
    training = False  # said for a whole tree by `train`
    part = Part()  # which rows of which batch these are, where `wants_part`
    wants_part = False

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *gradients):
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def operations(self, rows):
        """Floating-point operations of one forward and one backward on `rows` rows, or None when not stated, as
        here."""

    def floats(self, like=None, **given):
        """Refuse what is no array (B, …) of floats of this module's library, or not of the shape and dtype of `like`,
        an array that forward was given or returned, or these two. Raises ShapeError naming it."""
        kind = self.backend.xp.ndarray
        for name, array in given.items():
            if type(array) is kind is type(like) and array.dtype is like.dtype and array.shape == like.shape:
                continue  # nearly always, some ten times a step: found out in the least time
            if not isinstance(array, kind) or array.ndim == 0 or array.dtype.char not in FLOATS:
                cure = ": is a return missing where it comes from?" if array is None else ""
                raise ShapeError(
                    f"{type(self).__name__} takes {name} as an array (rows, …) of floats, not {gate.shown(array)}{cure}"
                )
            if like is not None:
                shape, dtype = like if isinstance(like, tuple) else (like.shape, like.dtype)
                if array.shape != shape or array.dtype != dtype:
                    told = f"{type(self).__name__} takes {name} as {shape} {dtype}, as forward had it"
                    raise ShapeError(f"{told}, not {array.shape} {array.dtype}")

    @property
    def may_look(self):
        """Whether forward may look at the numbers it is given. A training step on a GPU may not, whose launches become
        a graph; what is wrong there becomes NaN, and is looked at when the step is taken again with every array
        kept."""
        return self.backend.name == "numpy" or not self.training or not isinstance(self.arena, Plan)

    def suits(self, x, parameter):
        """Refuse an x of another library or dtype than a Parameter of this module. Raises ShapeError."""
        held, name = parameter.value, type(self).__name__
        if held is None:
            raise ShapeError(f"{name} is not initialised: call initialise(seed) on it or on the model that holds it")
        if not isinstance(x, type(held)):
            kinds = f"{name} holds {backends.kind_of(held)} and was given {backends.kind_of(x)}"
            raise ShapeError(f"{kinds}: nothing is copied between backends unasked")
        if x.dtype != held.dtype:
            raise ShapeError(f"{name} holds {held.dtype} and was given {x.dtype}: convert one of them")

    def new(self, name, shape, dtype):
        """An uninitialised array of any shape. Its name is what the microscope and the message about a NaN call it."""
        arena = self.arena
        return self.backend.empty(shape, dtype) if arena is None else arena.new(self, name, shape, dtype)

    def work(self, shape, dtype):
        """The same for scratch without a name. Its memory may be given out again when the caller no longer refers to
        it."""
        return self.new(None, shape, dtype)

    def __getattr__(self, name):
        if hasattr(type(self), name):  # a property that failed: let it say why
            return object.__getattribute__(self, name)
        raise MissingError(
            f"{type(self).__name__} has no {name}: is forward to be called first? backward needs what it remembers"
        )

    # The tree ---------------------------------------------------------------------------------------------------------

    def children(self):
        """(name, Module) for each module held directly."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for i, item in enumerate(value):
                    if isinstance(item, Module):
                        yield str(i) if name == "layers" else f"{name}.{i}", item

    def modules(self, prefix=""):
        """(path, Module) for this module and all below it, parents first."""
        yield prefix, self
        for name, child in self.children():
            yield from child.modules(f"{prefix}.{name}" if prefix else name)

    def parameters(self):
        """[(path, Parameter)] of the whole tree, such as ("encoder.0.W", …), those that are trained first.

        Raises ShapeError if one stands in two places.
        """
        found = [
            (f"{path}.{name}" if path else name, value)
            for path, module in self.modules()
            for name, value in vars(module).items()
            if isinstance(value, Parameter)
        ]
        if len({id(p) for _, p in found}) != len(found):
            raise ShapeError("a Parameter stands in two places of this model: backward would overwrite its gradient")
        return sorted(found, key=lambda named: not named[1].trained)

    # Life -------------------------------------------------------------------------------------------------------------

    def initialise(self, seed=0, dtype=np.float32, backend=None, values=None):
        """Give every Parameter its first value, in one flat buffer on a backend (its name; default: where the module
        is).

        The same seed gives the same values on every backend. values (N,): these, in the order of the parameters, and
        none drawn. Returns self.
        """
        dtype = check_dtype(dtype)
        if values is None:
            sizes = {name: math.prod(p.shape) for name, p in self.parameters()}
            total, largest = sum(sizes.values()), max(sizes, key=sizes.get, default=None)
            drawing = DRAWING * sizes[largest] if largest else 0
            held = 3 * total * np.dtype(dtype).itemsize  # as drawn, in one buffer, and the gradients
            require({f"{total:,} parameters and their gradients": held, f"drawing {largest}": drawing}, FEWER)
            with backends.NUMPY.failures():
                drawn = [
                    np.asarray(p.init(p.shape, seed, i), dtype).reshape(-1)
                    for i, (_, p) in enumerate(self.parameters())
                ]
                values = np.concatenate([np.empty(0, dtype), *drawn])
        return self._place(values, self.backend if backend is None else backend)

    def to(self, backend):
        """Move an initialised module to another backend: its values, not its gradients or caches. Returns self."""
        if self.buffer is None:
            raise ShapeError(f"{type(self).__name__} is not initialised: call initialise(seed) first")
        return self._place(self.backend.get(self.buffer.values), backend)

    def _place(self, values, backend):
        """Live on a backend with these values, a NumPy array."""
        backend = backends.get(backend)
        with backend.failures():
            values = backend.put(values)
            for _, module in self.modules():
                if module.backend is not backend:
                    module.backend = backend
            return self.rebind(values)

    def rebind(self, values, grads=None):
        """Let every Parameter view these flat arrays from now on, as they are. Returns self."""
        self.buffer = ParameterBuffer(self.parameters(), values, grads)
        return self

    def replica(self, dtype=None):
        """A twin of an initialised module that shares its values and owns its gradients and what it remembers.

        With a dtype, the twin owns a copy of the values in that dtype instead.
        """
        if self.buffer is None:
            raise ShapeError(f"{type(self).__name__} is not initialised: call initialise(seed) first")
        memo = {id(m.backend): m.backend for _, m in self.modules()}  # libraries are not copied
        memo |= {id(m.arena): None for _, m in self.modules()}  # nor is memory
        twin = copy.deepcopy(self, {**memo, id(self.buffer): None})
        return twin.rebind(self.buffer.values if dtype is None else self.buffer.values.astype(check_dtype(dtype)))

    def use(self, arena):
        """Let every array of this tree come from an arena, or with None be new each time. Returns self."""
        for _, module in self.modules():
            module.arena = arena
        return self

    def train(self, training=True):
        """Say for the whole tree whether it learns, or is used: Dropout drops, and BatchNorm takes the batch's
        statistics, only in the first case. Returns self."""
        for _, module in self.modules():
            module.training = training
        return self

    def blank(self, columns=None):
        """What forward is given, for one row of zeros of this width.   → [NumPy arrays (1, …)]"""
        return [np.zeros((1, gate.whole("columns", columns)), self.buffer.values.dtype)]

    def summary(self, columns=None, rows=128):
        """A table of the layers: output shape, parameters and operations of one step (see `nn.summary`)."""
        from .summary import summary

        return summary(self, columns, rows)


def check_dtype(dtype):
    """np.float32, np.float64, or np.complex128, with which derivatives are checked, as a dtype. Raises ConfigError for
    any other."""
    for known in (np.float32, np.float64, np.complex128):
        with contextlib.suppress(TypeError):  # of what is no dtype at all
            if dtype is not None and np.dtype(dtype) == known:
                return np.dtype(known)
    raise ConfigError(
        f"dtype must be np.float32 or np.float64, not {gate.shown(dtype)}: what is smaller loses the small gradients"
    )
