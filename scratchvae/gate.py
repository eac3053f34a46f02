"""The gate: what someone hands over becomes what we can compute with, or is refused in a line that names the place and
the cure.

Every door passes here: files and arrays of data, what a model is asked to encode, and each option. Nothing is guessed.
"""

import math
import numbers
import os
import sys
from pathlib import Path

import numpy as np

from .errors import ConfigError, DataError

REAL = (-math.inf, math.inf)  # the support of numbers that may be anything finite
LARGEST = 2**31 - 1  # of the counts that are options
BLOCK = 1 << 20  # numbers looked at together, so that no check makes a second copy of a large set
MISSING = ("NAType", "NaTType", "NoneType")  # pandas' and Python's ways to say that there is no number


# Options --------------------------------------------------------------------------------------------------------------


def whole(name, value, least=1, most=LARGEST):
    """The option `name` as an int from `least` to `most`. Raises ConfigError."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and least <= value <= most:
        return int(value)
    upper = (
        ""
        if most == LARGEST and not (isinstance(value, (int, np.integer)) and value > most)
        else f" and at most {most:,}"
    )
    raise ConfigError(f"{name} must be a whole number of at least {least}{upper}, not {shown(value)}")


def number(name, value, *, above=None, least=None, below=None, most=None):
    """The option `name` as a finite number within bounds, of Python's own int or float. Raises ConfigError."""
    plain = value.item() if isinstance(value, (np.integer, np.floating)) else value
    if (
        isinstance(plain, (int, float))
        and not isinstance(plain, bool)
        and -sys.float_info.max <= plain <= sys.float_info.max
        and (above is None or plain > above)
        and (least is None or plain >= least)
        and (below is None or plain < below)
        and (most is None or plain <= most)
    ):
        return plain
    bounds = (("above", above), ("of at least", least), ("below", below), ("at most", most))
    said = " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
    raise ConfigError(f"{name} must be a finite number {said}".rstrip() + f", not {shown(value)}")


def choice(name, value, options):
    """The option `name`, one of these names. Raises ConfigError."""
    if isinstance(value, str) and value in options:
        return value
    raise ConfigError(f"{name} must be one of {', '.join(options)}, not {shown(value)}")


def flag(name, value):
    """The option `name` as True or False. Raises ConfigError."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise ConfigError(f"{name} must be True or False, not {shown(value)}")


def file_path(name, value):
    """The option `name` as a Path. Raises ConfigError for what is no text and no path."""
    if isinstance(value, (str, os.PathLike)) and isinstance(os.fspath(value), str):
        return Path(value)
    raise ConfigError(f"{name} must be a path, such as \"runs/one\", not {shown(value)}")


def function(name, value):
    """The option `name`, which can be called. Raises ConfigError."""
    if callable(value) and not isinstance(value, type):
        return value
    raise ConfigError(f"{name} must be a function, not {shown(value)}")


def instance(name, value, kind, example):
    """The option `name`, made by `kind`. Raises ConfigError, with the example of how it is made."""
    if isinstance(value, kind):
        return value
    raise ConfigError(f"{name} must be {example}, not {shown(value)}")


def shown(value):
    """A value as an error message shows it: short, whatever it is."""
    if isinstance(getattr(value, "shape", None), tuple) and not isinstance(value, np.generic):
        return f"{_kind(value)} of shape {value.shape}" + (f", {value.dtype}" if hasattr(value, "dtype") else "")
    try:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    except Exception:  # a repr of someone else's
        text = f"<{_kind(value)}>"
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:79]}…"


# Arrays ---------------------------------------------------------------------------------------------------------------


def array(values, where, text=False):
    """`values` as a NumPy array of bools, integers or floats: itself if it is one, else converted.   text: or of str

    Lists, tensors (torch's are detached and brought to the host) and data frames are taken by what they say of
    themselves, so that none of their libraries is imported. Raises DataError, naming `where` and the place of the first
    thing that is no number.
    """
    columns = getattr(values, "columns", None)
    if np.ma.isMaskedArray(values):
        if np.ma.is_masked(values):
            at = place(np.argwhere(np.ma.getmaskarray(values))[0])
            raise DataError(f"{where}: {at} is masked, so there is no number: fill it, as x.filled(0), or drop the row")
        values = values.data
    try:
        for method in ("detach", "cpu"):  # of a torch tensor
            if callable(getattr(values, method, None)):
                values = getattr(values, method)()
        found = np.asarray(values)
    except Exception as error:  # from someone else's __array__, or a list whose rows differ
        raise DataError(f"{where}: {_why_no_array(values, error)}") from error
    if found.dtype == object:
        found = _plain(found, where, columns, text)
    if text and found.dtype.kind in "US":
        return found if found.dtype.kind == "U" else np.strings.decode(found, "utf-8", "backslashreplace")
    if found.dtype.kind not in "buif":
        cure = (
            "give a list or an array of numbers" if found.ndim == 0 else "convert them with astype, or leave them out"
        )
        held = "text" if found.dtype.kind in "US" else f"{found.dtype} values"
        raise DataError(
            f"{where}: {held} where numbers belong, such as {shown(found.flat[0]) if found.size else '[]'}: {cure}"
        )
    if columns is not None and found.ndim == 2 and found.size and found.dtype.kind == "f":
        extent(found, where, columns)
    return found


def floats(name, values):
    """`values` as an array of float64, all finite. Raises DataError by their place."""
    found = array(values, name).astype(np.float64)
    extent(np.atleast_1d(found), name)
    return found


def index(name, values, count):
    """`values` as int64 (K,), each from 0 to count − 1. Raises DataError."""
    found = array(values, name)
    if found.ndim == 1 and (found.size == 0 or (found.dtype.kind in "iu" and found.min() >= 0 and found.max() < count)):
        return found.astype(np.int64)
    raise DataError(f"{name} must be a list of integers from 0 to {count - 1}, not {shown(values)}")


def extent(rows, where, columns=None):
    """(lowest, highest) of rows (N, D), in blocks. Raises DataError naming the first value that is not finite, by its
    column's name where there are `columns`."""
    lowest, highest = math.inf, -math.inf  # of no rows: within any bounds
    for block, start in _blocks(rows):
        low, high = float(block.min()), float(block.max())  # a NaN is both
        if not (math.isfinite(low) and math.isfinite(high)):
            row, *column = np.argwhere(~np.isfinite(block))[0]
            value = block[(row, *column)]
            kind = "too large for float32, or infinite" if np.isinf(value) else "not a number"
            raise DataError(
                f"{where}: {place((start + row, *column), columns)} is {value}, {kind}: repair that row, or drop it"
            )
        lowest, highest = min(lowest, low), max(highest, high)
    return lowest, highest


def check_support(rows, found, support, where, taker, more=""):
    """Raise DataError naming the first value of rows (N, D) outside `support` (low, high), and how to bring all of them
    into it.

    found: `extent(rows)` or wider, so that nothing is looked at twice when all is well · taker: who takes only these,
    for the message · more: what else may be done
    """
    low, high = support
    if low <= found[0] and found[1] <= high:
        return
    for block, start in _blocks(rows):
        bad = (block < low) | (block > high)
        if bad.any():
            row, *column = np.argwhere(bad)[0]
            at, value = place((start + row, *column)), block[(row, *column)]
            cure = _into_unit(rows, *found) if support == (0, 1) else "scale the values"
            raise DataError(
                f"{where}: {at} is {value:.8g}, outside [{low:g}, {high:g}], which {taker} takes: {cure}{more}"
            )


def place(index, columns=None):
    """(3, 5) → "row 3, column 5": counted from 0, as Python does"""
    row, *rest = (int(i) for i in index) if len(index) else (0,)
    if not rest:
        return f"row {row}"
    name = f" ({columns[rest[0]]})" if columns is not None and len(rest) == 1 else ""
    return f"row {row}, column {rest[0] if len(rest) == 1 else tuple(rest)}{name}"


def _blocks(rows):
    """(block, its first row) of about BLOCK numbers each."""
    step = max(1, BLOCK // max(1, math.prod(rows.shape[1:])))
    for start in range(0, len(rows), step):
        yield rows[start : start + step], start


def _into_unit(rows, low, high):
    """What to do about numbers from `low` to `high` that should lie in [0, 1]."""
    if low >= -0.01 and high <= 1.01:
        return "rounding only, so np.clip(x, 0, 1) mends it"
    if low >= -1 and high <= 1:
        return "if −1 is black and 1 is white, give (x + 1) / 2"
    if low >= 0 and 2 <= high <= 255 and all(np.array_equal(block, np.floor(block)) for block, _ in _blocks(rows)):
        return "if 255 is white, give x.astype(np.uint8), or divide by 255"
    if low >= 0 and 2 <= high <= 65535:
        return f"if {'255' if high <= 255 else '65,535'} is white, divide by it"
    cure = "scale them, or take a gaussian likelihood, for which they may be any number"
    return f"they range from {low:g} to {high:g}: {cure}"


def _why_no_array(values, error):
    """In words: why np.asarray failed."""
    if (
        isinstance(values, (list, tuple))
        and len({np.shape(row) if hasattr(row, "shape") else _length(row) for row in values}) > 1
    ):
        first = _length(values[0])
        odd = next((i for i, row in enumerate(values) if _length(row) != first), 0)
        return f"row {odd} has {_length(values[odd])} values where row 0 has {first}: give rows of one length"
    if _kind(values).startswith("cupy"):
        return "an array on a GPU: bring it to the host with cupy.asnumpy(x)"
    return f"{_kind(values)} cannot be made into an array ({str(error)[:120]}): give a NumPy array or a list of numbers"


def _length(row):
    return len(row) if hasattr(row, "__len__") else 1


def _plain(found, where, columns, text):
    """An array of objects that are all real numbers, as float64, or all str. Raises DataError naming the first that is
    neither."""
    wanted = (str,) if text and found.size and isinstance(found.flat[0], str) else (numbers.Real, np.bool_)
    for index, value in np.ndenumerate(found):
        if isinstance(value, wanted):
            continue
        if found.ndim == 0:
            raise DataError(f"{where}: {shown(value)}, a {_kind(value)}: give an array or a list of numbers")
        if type(value).__name__ in MISSING or (isinstance(value, float) and math.isnan(value)):
            raise DataError(f"{where}: {place(index, columns)} is missing: fill it, or drop that row or column")
        kind = "text like those before it" if str in wanted else "number"
        raise DataError(f"{where}: {place(index, columns)} is {shown(value)}, no {kind}: convert it, or drop it")
    try:
        return found.astype(str if str in wanted else np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: numbers that do not fit float64 ({error}): scale them") from error


def _kind(value):
    kind = type(value)
    module = kind.__module__.split(".")[0].lstrip("_")
    return kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"
