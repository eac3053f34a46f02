"""Where the arrays of a step come from. A module asks `self.new(name, shape, dtype)`; without an arena each request is
a new array, so that no array handed out before is overwritten. `Kept` remembers what was asked for, `Plan` takes memory
once and gives it out again."""

import math
import weakref
from contextlib import contextmanager, nullcontext

import numpy as np

from ..errors import ShapeError


class Kept:
    """New arrays, and [(module, name, array)] of all that have a name, in the order of requests: to find where a NaN
    came from.

    They begin as zeros, so what is not finite was computed.
    """

    def __init__(self, empty):
        """empty(shape, dtype) → array: of a backend"""
        self.empty, self.arrays = empty, []

    def step(self, kind):
        """A context in which requests are kept: any."""
        return nullcontext()

    def new(self, module, name, shape, dtype):
        array = self.empty(shape, dtype)
        array[...] = 0
        if name is not None:
            self.arrays.append((module, name, array))
        return array


class Plan:
    """The k-th request of a step gets the same array in every step of its kind, so that a step allocates nothing.

        with plan.step(rows):
            model.forward(…), model.backward(…)

    In the first step of a kind, memory is given out again as soon as no name refers to it: Python's reference count
    tells which arrays are still needed, and a view keeps its array. Later steps repeat that plan. Their requests must
    be the same, whatever the data.
    """

    def __init__(self, empty, share=True):
        """empty(shape, dtype) → array: of a backend · share: False gives each request memory of its own"""
        self.empty, self.share = empty, share
        self.plans, self.blocks, self.planned, self.replay = {}, [], None, False

    def step(self, kind):
        """A context in which requests follow the plan of this kind of step, such as its number of rows."""
        self.replay = kind in self.plans
        self.planned = self.plans.setdefault(kind, [])
        self.left = iter(self.planned)
        self.idle = [] if self.replay else sorted(self.blocks, key=len)
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        planned, replay, self.planned, self.replay = self.planned, self.replay, None, False
        if kind is None and replay and (left := len(list(self.left))):
            raise ShapeError(
                f"a step asked for {len(planned) - left} arrays where the first of its kind asked for {len(planned)}. "
                f"{_CURE}"
            )
        if kind is not None and not replay:  # a plan that was not made to its end
            self.plans = {key: other for key, other in self.plans.items() if other is not planned}

    def new(self, module, name, shape, dtype):
        if self.replay:
            array = next(self.left, None)
            if array is None or array.shape != shape or array.dtype != dtype:
                asked = f"{type(module).__name__} asks for {name or 'work'} {shape} {np.dtype(dtype)}"
                first = "nothing more" if array is None else f"{array.shape} {array.dtype}"
                raise ShapeError(f"{asked}, where the first step of its kind asked for {first}. {_CURE}")
            return array
        if self.planned is None:  # between two steps
            return self.empty(shape, dtype)
        if self.share and math.prod(shape):
            return self._shared(shape, dtype)
        self.planned.append(self.empty(shape, dtype))
        return self.planned[-1]

    def _shared(self, shape, dtype):
        """Memory that no name refers to any more, or new memory."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        block = next((block for block in self.idle if len(block) >= size), None)
        if block is None:
            block = self.empty((size,), np.uint8)
            self.blocks.append(block)
        else:
            self.idle = [other for other in self.idle if other is not block]
        lease = memoryview(block)[:size]
        # its views refer to it and not to the block, since a memoryview stands between
        watched = np.frombuffer(lease, dtype)
        weakref.finalize(watched, self._free, block, self.planned).atexit = False
        self.planned.append(np.frombuffer(lease, dtype).reshape(shape))  # for the replay: not watched
        return watched.reshape(shape)

    def _free(self, block, planned):
        if planned is self.planned and not self.replay:  # else left over from another step
            self.idle = sorted([*self.idle, block], key=len)


_CURE = "The requests of a step may not depend on the data: take what does with np.empty"


@contextmanager
def planned(modules):
    """While this is open, modules (trees) that have no arena follow a Plan of their own.   → nothing"""
    without = [module for module in modules if module.arena is None]
    for module in without:
        module.use(Plan(module.backend.empty, share=module.backend.name == "numpy"))
    try:
        yield
    finally:
        for module in without:
            module.use(None)
