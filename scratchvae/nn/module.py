"""The module system: a module is a class with `forward` and `backward` that may hold Parameters and other modules."""

import contextlib
import copy
import itertools
import math

import numpy as np

from .. import backend as backends
from .. import gate
from ..errors import ConfigError, MissingError, ShapeError
from ..memory import require
from .parameter import Parameter, ParameterBuffer

DRAWING = 28  # bytes for each number of the Parameter that is being drawn: words of 64 bits on their way to a float
FEWER = "fewer or narrower layers need less"
_serial = itertools.count()  # tells which scratch array was made first


class Module:
    """Base of everything that maps arrays forward and gradients backward.

    forward(x) returns y and remembers what backward needs. backward(dY) *writes* the gradient of each of the module's own
    Parameters into its `.grad` and returns dX. One backward belongs to one forward: a Parameter stands in one place of one
    model. What both return may be a buffer of the module's own, good until its next call.

    Parameters, modules, and lists or tuples of modules are found in the instance's attributes, in order of assignment;
    nothing is registered anywhere.
    """

    backend = backends.NUMPY
    buffer = None  # the ParameterBuffer, on the module that was initialised

    def forward(self, x):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dY):
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @property
    def ops(self):
        """The operations of the backend that this module's arrays live on."""
        return self.backend.ops

    def operations(self, rows):
        """Floating-point operations of one forward and one backward on `rows` rows, or None when not stated, as here."""

    def arrays(self, rows=None, **given):
        """Refuse what is no array (B, N) of this module's library, or not of `rows` rows. Raises ShapeError naming it."""
        for name, array in given.items():
            if not isinstance(array, self.backend.xp.ndarray) or array.ndim != 2 or array.dtype.kind not in "fc":
                raise ShapeError(f"{type(self).__name__} takes {name} as an array (rows, columns) of floats, not {gate.shown(array)}")
            if rows is not None and len(array) != rows:
                raise ShapeError(f"{type(self).__name__} takes {name} of {rows} rows, as forward was given, not {len(array)}")

    def __getattr__(self, name):
        if hasattr(type(self), name):  # a property that failed: let it say why
            return object.__getattribute__(self, name)
        raise MissingError(f"{type(self).__name__} has no {name}: is forward to be called first? backward needs what it remembers")

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
        """[(path, Parameter)] of the whole tree, such as ("encoder.0.W", …). Raises ShapeError if one stands in two places."""
        found = [
            (f"{path}.{name}" if path else name, value)
            for path, module in self.modules()
            for name, value in vars(module).items()
            if isinstance(value, Parameter)
        ]
        if len({id(p) for _, p in found}) != len(found):
            raise ShapeError("a Parameter stands in two places of this model: backward would overwrite its gradient")
        return found

    # Life -------------------------------------------------------------------------------------------------------------

    def initialise(self, seed=0, dtype=np.float32, backend=None, values=None):
        """Give every Parameter its first value, in one flat buffer on a backend (its name; default: where the module is).

        The same seed gives the same values on every backend. values (N,): these, in the order of the parameters, and none drawn.
        Returns self.
        """
        dtype = check_dtype(dtype)
        if values is None:
            sizes = {name: math.prod(p.shape) for name, p in self.parameters()}
            total, largest = sum(sizes.values()), max(sizes, key=sizes.get, default=None)
            drawing = DRAWING * sizes[largest] if largest else 0
            held = 3 * total * np.dtype(dtype).itemsize  # as drawn, in one buffer, and the gradients
            require({f"{total:,} parameters and their gradients": held, f"drawing {largest}": drawing}, FEWER)
            with backends.NUMPY.failures():
                drawn = [np.asarray(p.init(p.shape, seed, i), dtype).reshape(-1) for i, (_, p) in enumerate(self.parameters())]
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
                    module.__dict__.pop("_scratch", None)
            return self.rebind(values)

    def rebind(self, values, grads=None):
        """Let every Parameter view these flat arrays from now on, as they are. Returns self."""
        self.buffer = ParameterBuffer(self.parameters(), values, grads)
        return self

    def replica(self, dtype=None):
        """A twin of an initialised module that shares its values and owns its gradients and caches.

        With a dtype, the twin owns a copy of the values in that dtype instead.
        """
        if self.buffer is None:
            raise ShapeError(f"{type(self).__name__} is not initialised: call initialise(seed) first")
        memo = {id(m._scratch): {} for _, m in self.modules() if "_scratch" in vars(m)}  # scratch is not copied
        memo |= {id(m.backend): m.backend for _, m in self.modules()}  # nor are libraries
        twin = copy.deepcopy(self, {**memo, id(self.buffer): None})
        return twin.rebind(self.buffer.values if dtype is None else self.buffer.values.astype(check_dtype(dtype)))

    def scratch(self, name, rows, columns, dtype):
        """An uninitialised (rows, columns) array, or (rows,) if columns is None, that is kept and given out again.

        Memory is taken when a larger batch is first seen, so the hot loop allocates nothing.
        """
        kept = self.__dict__.setdefault("_scratch", {})
        array, _ = kept.get((name, columns, dtype), (None, 0))
        if array is None or len(array) < rows:
            shape = (rows,) if columns is None else (rows, columns)
            array = self.backend.empty(shape, dtype)
            kept[name, columns, dtype] = array, next(_serial)
        return array[:rows]

    def scratch_arrays(self):
        """[(name, path, array)] of all scratch in the tree, in the order in which a first step needed it."""
        held = [
            (serial, name, path, array)
            for path, module in self.modules()
            for (name, *_), (array, serial) in module.__dict__.get("_scratch", {}).items()
        ]
        return [entry[1:] for entry in sorted(held, key=lambda entry: entry[0])]

    def summary(self, columns=None, rows=128):
        """A table of the layers: output shape, parameters and operations of one step (see `nn.summary`)."""
        from .summary import summary

        return summary(self, columns, rows)


def check_dtype(dtype):
    """np.float32, np.float64, or np.complex128, with which derivatives are checked, as a dtype. Raises ConfigError for any other."""
    for known in (np.float32, np.float64, np.complex128):
        with contextlib.suppress(TypeError):  # of what is no dtype at all
            if dtype is not None and np.dtype(dtype) == known:
                return np.dtype(known)
    raise ConfigError(f"dtype must be np.float32 or np.float64, not {gate.shown(dtype)}: what is smaller loses the small gradients")
