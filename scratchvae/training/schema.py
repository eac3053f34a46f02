"""What our JSON files may hold, checked as a whole, in one place, before anything in them is believed."""

import json
import re
import reprlib
from math import isfinite, prod

from ..backend import NAMES
from ..errors import ConfigError
from .settings import Settings

WORDS = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", dict: "names with values",
    list: "a list",
}  # fmt: skip
HASH = re.compile("[0-9a-f]{64}")


def dumps(value, **options):
    """JSON text. Raises ConfigError for what JSON cannot hold, such as a number that is not finite."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{reprlib.repr(value)} cannot be written as JSON: {error}") from error


def loads(text):
    """The value of a JSON text or its bytes. Raises ValueError: damaged, nested too deeply, or with numbers that are
    not finite."""
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _finite(text):
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"the number {reprlib.repr(text)} is not finite")
    return number


def check(value, kind, at="it"):
    """Raise ConfigError, naming the place, unless `value` is of a kind:

    a type (whole numbers are 0 or more, numbers finite) · a pattern of texts · a dict of kinds, one per name, "name?"
    may be missing, "*" stands for any · a list of one kind · a tuple of what it may be · a function, which raises
    ConfigError or returns a complaint
    """
    if isinstance(kind, dict):
        check(value, dict, at)
        wanted = {name.removesuffix("?"): each for name, each in kind.items()}
        for name in value:
            if name not in wanted and "*" not in wanted:
                raise ConfigError(f"{at} has an unknown {reprlib.repr(name)}")
        for name in kind:
            if name not in value and name[-1] not in "?*":
                raise ConfigError(f"{at} lacks {name}")
        for name, each in value.items():
            check(each, wanted.get(name, wanted.get("*")), f"{at}.{name}"[:100])
    elif isinstance(kind, list):
        check(value, list, at)
        for i, each in enumerate(value):
            check(each, kind[0], f"{at}[{i}]")
    elif isinstance(kind, tuple):
        if not any(type(value) is type(each) and value == each for each in kind):
            _refuse(at, " or ".join(map(str, kind)), value)
    elif isinstance(kind, re.Pattern):
        if not isinstance(value, str) or not kind.fullmatch(value):
            _refuse(at, f"a text such as {kind.pattern}", value)
    elif isinstance(kind, type):
        takes = (int, float) if kind is float else kind
        if not isinstance(value, takes) or (isinstance(value, bool) and kind is not bool):
            _refuse(at, WORDS[kind], value)
        if kind is int and value < 0:
            _refuse(at, "a whole number of at least 0", value)
    elif complaint := kind(value):
        _refuse(at, complaint, value)


def _refuse(at, what, value):
    raise ConfigError(f"{at} must be {what}, not {reprlib.repr(value)}")


def differences(a, b, at=""):
    """Where two JSON values differ: (place, value in a, value in b), each once, in the order of a; "nothing" for a name
    not there."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in [*a, *(name for name in b if name not in a)]:
            place = f"{at}.{name}".lstrip(".")
            if name in a and name in b:
                yield from differences(a[name], b[name], place)
            else:
                yield place, a.get(name, "nothing"), b.get(name, "nothing")
    elif type(a) is not type(b) or a != b:
        yield at, a, b


def _shape(value):
    sizes = isinstance(value, list) and len(value) in (2, 3) and all(type(n) is int and n > 0 for n in value)
    return None if sizes and prod(value) < 2**31 else "[height, width] or [height, width, 3]"


def _settings(value):
    Settings.from_dict(value)


def _best(value):
    if value is not None:
        check(value, {"step": int, "epoch": int, "loss": float}, "best")


# The rooms of config.json. A chapter is a stretch of a run's steps under one configuration; those that have ended are
# its history.
DATA = {
    "name": str, "fingerprint": HASH, "image_shape": _shape, "labels?": HASH, "preparation?": dict,
    "splits?": {"*": int},
}  # fmt: skip
CHAPTER = {"data": DATA, "training": _settings, "origin?": {"step": int, "epoch": int, "schedule": int}}
MODEL = {"kind": str, "config": dict, "seed?": int, "dtype?": ("float32", "float64"), "values?": HASH}
ENDED = {**CHAPTER, "ended": {"step": int, "epoch": float}}
# what a checkpoint holds of it: no place on a machine
HELD = {**CHAPTER, "backend": NAMES, "model": MODEL, "history": [ENDED]}
RUN = {
    **HELD, "format": ("scratchvae-run",), "version": (2,), "data": {**DATA, "location": str, "relative?": str},
    "environment": {"*": str},
}  # fmt: skip

METRICS = {"format": ("scratchvae-metrics",), "version": (1,), "units": {"*": str}, "*": lambda value: None}
RECORD = {"split": ("train", "test", "validation"), "step": int, "epoch": float, "*": float}
STATE = {"step": int, "window?": {"images": int, "*": float}, "best?": _best, "*": lambda value: None}
