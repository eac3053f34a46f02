"""A class in someone's file: the file is run, as Python would run it, and the class and its sizes are found in it."""

import difflib
import inspect
import sys
import tokenize
import types
from pathlib import Path

from ..errors import ConfigError
from .plain import is_layer

INPUTS = (
    "inputs", "in_features", "input_size", "input_dim", "in_dim", "n_in", "n_inputs", "fan_in", "num_features", "features",
)  # fmt: skip
OUTPUTS = ("outputs", "out_features", "output_size", "output_dim", "out_dim", "n_out", "n_outputs", "fan_out", "units")
CONTRACT = "A class to check takes (inputs, outputs), one size, or nothing; see scratchvae.checks.plain"


def class_of(target):
    """The class that "path/to/file.py:MyLayer" names, once that file was run. Raises ConfigError."""
    path, name = divided(target)
    return find_class(load(path), name, path)


def divided(target):
    """ "path/to/file.py:MyLayer" → its path and its name, "" where none is named"""
    path, _, name = str(target).rpartition(":")
    return (Path(path), name) if path.endswith(".py") else (Path(target), "")


def load(path):
    """Run a file → its names. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}: name a class as path/to/file.py:MyLayer")
    module = types.ModuleType(f"checked_{path.stem}")
    module.__file__ = str(path)
    folder = str(path.parent.resolve())
    sys.modules[module.__name__] = module  # dataclasses and the like look their module up
    sys.path.append(folder)  # at the end: a file called random.py beside it hides nothing
    try:
        with tokenize.open(path) as file:
            exec(compile(file.read(), str(path), "exec"), vars(module))  # to run it is what we were asked for
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path} could not be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
        sys.modules.pop(module.__name__, None)
    return vars(module)


def find_class(names, name, path):
    """The class of that name, or the only one with a forward and a backward. Raises ConfigError."""
    own = f"checked_{path.stem}"
    classes = [n for n, value in names.items() if inspect.isclass(value) and value.__module__ == own and is_layer(value)]
    held = f"it holds {', '.join(classes)}" if classes else "it holds no class with forward and backward"
    if not name:
        if len(classes) != 1:
            raise ConfigError(f"which class of {path}? {held[0].upper()}{held[1:]}; name one as {path}:MyLayer")
        name = classes[0]
    found = names.get(name)
    if found is None:
        close = difflib.get_close_matches(name, classes, 1)
        raise ConfigError(f"{path} has no {name}: " + (f"did you mean {close[0]}?" if close else held))
    if not (inspect.isclass(found) and is_layer(found)):
        raise ConfigError(f"{name} in {path} is not a class with forward and backward; {held}")
    return found


def sizes_of(cls):
    """Which arguments of its __init__ are sizes → {"I": name, "O": name}, either or both left out. Raises ConfigError."""
    try:
        arguments = [
            a for a in inspect.signature(cls).parameters.values() if a.kind in (a.POSITIONAL_OR_KEYWORD, a.KEYWORD_ONLY)
        ]
    except (TypeError, ValueError):  # a class without a signature
        return {}
    required = [a.name for a in arguments if a.default is a.empty]
    if len(required) > 2:
        raise ConfigError(f"{cls.__name__}({', '.join(required)}) asks for {len(required)} arguments. {CONTRACT}")
    if required:
        return dict(zip("IO", required, strict=False))
    named = {a.name.lower(): a.name for a in arguments}
    found = {key: next((named[n] for n in known if n in named), None) for key, known in (("I", INPUTS), ("O", OUTPUTS))}
    return {key: name for key, name in found.items() if name}
