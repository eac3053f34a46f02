"""Writing down what really runs: each operation that a module calls, with what it was given and what it wrote."""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from types import FunctionType

import numpy as np

from ...nn import Parameter


@dataclass
class Call:
    """One call of an operation. Every array is a copy, so nothing that runs later changes it.

    path: of the module that called, such as "encoder.0" · before, after: {argument: array} around the call; a tuple of arrays
    appears as "work.0", "work.1" · gradients: {argument: name} of those that are the gradient of a Parameter of this module.
    """

    path: str
    name: str
    function: FunctionType
    before: dict
    after: dict
    gradients: dict


class RecordingOps:
    """The operations that one module calls: each runs as it is, and its call is added to a list.

    whole: names of operations. Of one that is not among them and calls others, such as sample_posterior, the calls of those are added.
    """

    def __init__(self, module, path, calls, whole):
        self._ops, self._module, self._path, self._calls, self._whole = module.ops, module, path, calls, whole

    def __getattr__(self, name):
        function = getattr(self._ops, name)
        parts = () if name in self._whole else [part for part in function.__code__.co_names if hasattr(self._ops, part)]
        if parts:  # the same code, which finds recorders under the names that it calls
            reach = {**function.__globals__, **{part: getattr(self, part) for part in parts}}
            return FunctionType(function.__code__, reach, name, function.__defaults__, function.__closure__)

        def recorded(*positional, **named):
            arguments = inspect.signature(function).bind(*positional, **named).arguments
            before = _copies(arguments)
            result = function(*positional, **named)
            if any(array.ndim for array in before.values()):  # not of one that counts how much work another wants
                held = {n: p.grad for n, p in vars(self._module).items() if isinstance(p, Parameter)}
                arrays = {a: given for a, given in arguments.items() if isinstance(given, np.ndarray)}
                gradients = {a: n for a, given in arrays.items() for n, grad in held.items() if np.may_share_memory(given, grad)}
                self._calls.append(Call(self._path, name, function, before, _copies(arguments), gradients))
            return result

        return recorded


def listen(module, whole):
    """Make every module of this tree write its calls into one list, which is returned. For a replica: it stays that way.

    whole: names of the operations that are written down as they are called (see RecordingOps).
    """
    calls = []
    for path, part in module.modules():
        part.backend = part.backend._replace(ops=RecordingOps(part, path, calls, whole))  # on the instance alone
    return calls


def _copies(arguments):
    flat = {}
    for name, value in arguments.items():
        parts = {f"{name}.{i}": part for i, part in enumerate(value)} if isinstance(value, tuple) else {name: value}
        flat.update((key, np.array(part)) for key, part in parts.items() if part is not None)
    return flat


def source_of(function):
    """[(where, code)] of a function and of our functions that it calls by name, as they stand in their files."""
    function = inspect.unwrap(function)
    code = textwrap.dedent(inspect.getsource(function))
    called = [node.func.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    helpers = [function.__globals__.get(name) for name in dict.fromkeys(called)]
    found = [(_where(function), code)]
    for helper in helpers:
        if isinstance(helper, FunctionType) and helper is not function and helper.__module__.startswith("scratchvae.ops"):
            found.append((_where(helper), inspect.getsource(helper)))
    return found


def _where(function):
    """ "scratchvae/ops/numpy/affine.py, line 6" """
    file = function.__module__.replace(".", "/") + ".py"
    return f"{file}, line {inspect.getsourcelines(function)[1]}"
