"""Writing down what really runs: each operation that a module calls, and what a module makes in lines of its own."""

import inspect
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType

import numpy as np

from ...nn import Module, Parameter
from ...nn.arena import Kept

# Two operations in one, which are written down one by one; two that write the same argument are added up there.
PARTED = ("sample_posterior", "posterior_backward")


@dataclass
class Call:
    """An operation that a module called, or (name None) what its own lines made. Every array is a copy: nothing later
    changes it.

    path: of the module · phase: "forward", "backward" or "update" · before, after: {argument: array}; a tuple of
    arrays appears as "work.0", "work.1" · arrays: those themselves · outs: arguments that it wrote · gradients:
    {argument: name of the Parameter} · absent: arguments that were None · nth: of its kind in this module · meets:
    {argument: [(Call, argument)]} that are added up in it.
    """

    path: str
    module: Module
    phase: str
    name: str | None
    function: FunctionType
    before: dict
    after: dict
    arrays: dict
    outs: tuple
    gradients: dict
    absent: tuple = ()
    nth: int = 0
    meets: dict = field(default_factory=dict)


class Heard:
    """The operations of a module: hear(name, function, positional, named) is asked to run each."""

    def __init__(self, ops, hear, parted=None):
        self._ops, self._hear, self._parted = ops, hear, parted

    def __getattr__(self, name):
        function = getattr(self._ops, name)
        if not isinstance(function, FunctionType):
            return function
        heard = lambda *positional, **named: self._hear(name, function, positional, named)
        if name not in PARTED:
            return heard
        parts = [part for part in function.__code__.co_names if hasattr(self._ops, part)]
        # The same code, which finds these under their names.
        reach = {**function.__globals__, **{part: getattr(self, part) for part in parts}}
        whole = FunctionType(function.__code__, reach, name, function.__defaults__, function.__closure__)
        return partial(self._parted, name, function, whole) if self._parted else whole


@dataclass
class Frame:
    """A forward or backward that is running.   made: [(part, what it returned)] · asked: place among the arrays that
    are kept"""

    path: str
    module: Module
    method: str
    given: dict
    asked: int
    made: list = field(default_factory=list)


class Asked(Kept):
    """Kept, and which memory it gave, work without a name included."""

    def __init__(self, empty):
        super().__init__(empty)
        self.owners = {}

    def new(self, module, name, shape, dtype):
        array = super().new(module, name, shape, dtype)
        self.owners[id(owner(array))] = owner(array)
        return array


class Recorder:
    """Makes a tree of modules write down what they do. For a replica: it stays that way.

    No array comes from nowhere: one that a module hands to a part of it, or returns, and that no operation wrote, was
    made in lines of its own, and is written down as such. phase: what the calls belong to; "" writes nothing down.
    """

    def __init__(self, model, given):
        """given: the arrays that come from outside"""
        self.arena, self.phase, self.calls, self.frames = Asked(model.backend.empty), "", [], []
        self.known, self.read, self.returned, self.counts, self.inputs = {}, set(), {}, Counter(), {}
        self.values, self.grads = model.buffer.values, model.buffer.grads
        self.know(self.values, self.grads, *given)
        model.use(self.arena)
        for path, module in model.modules():
            hear, parted = partial(self.hear, path, module), partial(self.parted, path, module)
            module.backend = module.backend._replace(ops=Heard(module.ops, hear, parted))  # on the instance alone
            for method in ("forward", "backward"):
                setattr(module, method, partial(self.run, path, module, method, getattr(module, method)))

    def know(self, *arrays):
        self.known.update((id(owner(array)), owner(array)) for array in arrays)

    def knows(self, array):
        return id(owner(array)) in self.known

    def take(self):
        """The calls so far, which are forgotten here."""
        taken, self.calls = self.calls, []
        return taken

    def name_of(self, array):
        """Under which it was asked for, or None."""
        return next((name for _, name, kept in reversed(self.arena.arrays) if kept is array or same(kept, array)), None)

    # A module runs ----------------------------------------------------------------------------------------------------

    def run(self, path, module, method, original, *inputs):
        if not self.phase:
            return original(*inputs)
        names = names_of(module, method, len(inputs))
        given = {name: array for name, array in zip(names, inputs, strict=True) if isinstance(array, np.ndarray)}
        self.made_between({name: array for name, array in given.items() if not self.knows(array)})
        self.read.update(id(owner(array)) for array in given.values())
        if method == "forward":
            self.inputs[path] = list(given.values())
        frame = Frame(path, module, method, given, len(self.arena.arrays))
        self.frames.append(frame)
        result = original(*inputs)
        outputs = result if isinstance(result, tuple) else (result,)
        self.made_last(frame, outputs)
        self.frames.pop()
        if self.frames:
            inner = path.removeprefix(self.frames[-1].path).strip(".")
            self.frames[-1].made += [(inner, array) for array in outputs if isinstance(array, np.ndarray)]
        return result

    def made_between(self, fresh):
        """Arrays {name: array} that a module is about to hand on."""
        if fresh and self.frames:
            frame = self.frames[-1]
            self.lines(frame, {self.name_of(array) or name: array for name, array in fresh.items()})
        self.know(*fresh.values())

    def made_last(self, frame, outputs):
        """What a module returns, asked for or wrote into its Parameters, and no operation wrote."""
        module, back = frame.module, frame.method == "backward"
        wanted = [f"d{name}" for name in names_of(module, "forward", len(outputs))] if back else ["y"] * len(outputs)
        outs = {
            name: array
            for kept, name, array in self.arena.arrays[frame.asked :]
            if kept is module and not self.knows(array)
        }
        held = {id(owner(array)) for array in outs.values()}
        for k, (name, array) in enumerate(zip(wanted, outputs, strict=True)):
            if isinstance(array, np.ndarray):
                if not self.knows(array) and id(owner(array)) not in held:
                    outs[name if name not in outs else f"{name} {k}"] = array
                if back:
                    self.returned.setdefault((id(owner(array)), array.size), (frame.path, k))
        wrote = {
            name
            for call in self.calls
            if call.path == frame.path and call.phase == self.phase
            for name in call.gradients.values()
        }
        if back:
            outs |= {f"d{name}": p.grad for name, p in held_by(module).items() if name not in wrote}
        if outs:
            self.lines(frame, outs)
        self.know(*outs.values())

    def lines(self, frame, outs):
        """What stood in a module's own lines.   outs: {name: array} that they made"""
        leaf = not any(True for _ in frame.module.children())
        unread = [(part, array) for part, array in frame.made if id(owner(array)) not in self.read]
        given = {name: array for name, array in frame.given.items() if leaf or id(owner(array)) not in self.read}
        for part, array in unread:
            name = f"{self.name_of(array) or ('d' if frame.method == 'backward' else 'y')} of {part}"
            given[name if name not in given else f"{name}, {len(given)}"] = array
        if leaf:
            given |= {name: p.value for name, p in held_by(frame.module).items()}
        gradients = {f"d{name}": name for name in held_by(frame.module) if f"d{name}" in outs}
        arrays = given | outs
        before, after = copies(given), copies(arrays)
        function = getattr(type(frame.module), frame.method)
        self.add(
            Call(frame.path, frame.module, self.phase, None, function, before, after, arrays, tuple(outs), gradients)
        )

    # It calls an operation --------------------------------------------------------------------------------------------

    def hear(self, path, module, name, function, positional, named):
        if not self.phase:
            return function(*positional, **named)
        arguments = inspect.signature(function).bind(*positional, **named).arguments
        arrays = flat(arguments)
        before = copies(arrays)
        fresh = {n: array for n, array in arrays.items() if not self.knows(array)}
        result = function(*positional, **named)
        after = copies(arrays)
        if not any(array.ndim for array in after.values()):  # one that counts how much work another wants
            return result
        changed = {n for n in arrays if not np.array_equal(before[n], after[n])}
        blank = {n for n, array in fresh.items() if id(owner(array)) in self.arena.owners and not before[n].any()}
        kept = {n for n, array in arrays.items() if self.phase == "backward" and owner(array) is owner(self.grads)}
        outs = tuple(n for n in arrays if n in changed | blank | kept)
        if self.frames:
            self.made_between({n: array for n, array in fresh.items() if n not in outs})
        self.know(*arrays.values())
        self.read.update(id(owner(arrays[n])) for n in arrays if n not in outs)
        grads = {n: p for n in outs for p, held in held_by(module).items() if same(arrays[n], held.grad)}
        absent = tuple(n for n, value in arguments.items() if value is None)
        call = self.add(Call(path, module, self.phase, name, function, before, after, arrays, outs, grads, absent))
        if name == "plus" and self.phase == "backward":
            call.meets = {outs[0]: [(call, "a"), (call, "b")]} if outs else {}
        return result

    def parted(self, path, module, name, function, whole, *positional, **named):
        """An operation that is two: what each did, and the sums where both wrote one argument."""
        start = len(self.calls)
        result = whole(*positional, **named)
        arrays = flat(inspect.signature(function).bind(*positional, **named).arguments)
        parts = {n: [(call, n) for call in self.calls[start:] if n in call.outs] for n in arrays}
        meets = {n: found for n, found in parts.items() if len(found) > 1}
        if meets and self.phase:
            arrays = {n: arrays[n] for n in meets}
            call = Call(path, module, self.phase, name, function, {}, copies(arrays), arrays, tuple(meets), {})
            self.add(call).meets = meets
        return result

    def add(self, call):
        kind = call.path, call.phase, call.name
        call.nth, self.counts[kind] = self.counts[kind], self.counts[kind] + 1
        self.calls.append(call)
        return call


def owner(array):
    """Whose memory an array is."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def same(a, b):
    """Whether they begin at one place and hold as many numbers."""
    return a.size == b.size and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]


def flat(arguments):
    """{name: array} of what is an array, or a tuple of them."""
    found = {}
    for name, value in arguments.items():
        parts = {f"{name}.{i}": part for i, part in enumerate(value)} if isinstance(value, tuple) else {name: value}
        found.update((key, part) for key, part in parts.items() if isinstance(part, np.ndarray))
    return found


def copies(arrays):
    return {name: np.array(array) for name, array in arrays.items()}


def held_by(module):
    """{name: Parameter} that stand in a module itself."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Parameter)}


def names_of(module, method, count):
    """What a method calls its first `count` arguments."""
    names = []
    for name, p in inspect.signature(getattr(type(module), method)).parameters.items():
        if p.kind == p.VAR_POSITIONAL:
            names += [f"{name.removesuffix('s')} {i + 1}" for i in range(count)]
        elif name != "self":
            names.append(name)
    return [*names, *(f"argument {i + 1}" for i in range(len(names), count))][:count]
