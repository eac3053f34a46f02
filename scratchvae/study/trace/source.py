"""The code of what ran, as it stands in its file."""

import ast
import inspect
import textwrap
from pathlib import Path
from types import FunctionType


def source_of(function):
    """[(where, code)] of a function and of our operations that it calls by name, as they stand in their files; []
    where no file has it."""
    function = inspect.unwrap(function)
    try:
        code = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):  # of a class that was made without a file
        return []
    called = [
        node.func.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    helpers = [function.__globals__.get(name) for name in dict.fromkeys(called)]
    found = [(_where(function), code)]
    for helper in helpers:
        if (
            isinstance(helper, FunctionType)
            and helper is not function
            and helper.__module__.startswith("scratchvae.ops")
        ):
            found.append((_where(helper), inspect.getsource(helper)))
    return found


def _where(function):
    """ "scratchvae/ops/numpy/affine.py, line 6" """
    file = function.__module__.replace(".", "/") + ".py" if function.__module__.startswith("scratchvae.") else ""
    return f"{file or Path(inspect.getsourcefile(function)).name}, line {inspect.getsourcelines(function)[1]}"
