"""A .csv read strictly: a header or none, one separator, every cell a number or named as what it is."""

import csv
import math
import os
import re
import stat
from array import array
from contextlib import contextmanager
from itertools import chain

import numpy as np

from scratchvae.data.idx import MAX_BYTES
from scratchvae.errors import DataError, counted

SEPARATORS = ",;\t|"
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-"))
SHOWN = 4  # places of missing values that a message names


@contextmanager
def open_rows(path):
    """Gives a csv.reader of the file, whose separator is the one that its first line holds most of.

    Raises DataError, naming the file, for what is no such file.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a regular file: give a .csv file")
        if status.st_size > MAX_BYTES:
            raise DataError(f"{path}: {status.st_size} bytes, above the limit of {MAX_BYTES} for text: save it as .npy")
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline(1 << 20)
            file.seek(0)
            yield csv.reader(file, delimiter=max(SEPARATORS, key=first.count), strict=True)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not text in UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise DataError(f"{path}: not a sound .csv ({error}): save it again") from error


def read_table(path, label_column=None):
    """→ values (N, W) float64, the names of the W columns, and labels: a list of N texts, or None.

    label_column  the name of the column that labels the rows
    Raises DataError naming the line and column of the first text, or of the first missing values.
    """
    values, labels, missing = array("d"), [], []
    with open_rows(path) as reader:
        rows = filter(None, reader)  # without empty lines
        first = next(rows, [])
        header = any(not _is_number(cell) and cell.strip().lower() not in MISSING for cell in first)
        names = [header and cell.strip() or f"column {i + 1}" for i, cell in enumerate(first)]
        if label_column is not None and names.count(label_column) != 1:
            many = f"{names.count(label_column) or 'no'} columns are"
            raise DataError(f"{path}: {many} named {label_column}: it has {', '.join(names)[:200]}")
        place = None if label_column is None else names.index(label_column)
        width = len(names)
        if place is not None:
            del names[place]
        for row in rows if header else chain([first], rows):
            if len(row) != width:
                raise DataError(
                    f"{path}, line {reader.line_num}: {counted(len(row), 'value')} where {width} belong: mend that line"
                )
            if place is not None:
                labels.append(row.pop(place).strip())
            try:
                numbers = list(map(float, row)) if "_" not in "".join(row) else [math.nan]  # Python reads 1_2 as 12
            except ValueError:
                numbers = [math.nan]
            if not math.isfinite(sum(numbers)):
                numbers = [
                    _number(cell, f"{path}, line {reader.line_num}", name, missing)
                    for cell, name in zip(row, names, strict=True)
                ]
            values.extend(numbers)
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        shown, are = "; ".join(missing[:SHOWN]), "are" if len(missing) > 1 else "is"
        many = counted(len(missing), "value")
        raise DataError(f"{path}: {many} {are} missing: {shown}{more}: fill in, or drop the lines or columns"[:500])
    if not values:
        raise DataError(
            f"{path}: holds no numbers: give one line of numbers per example, and a header line if you like"
        )
    return np.array(values).reshape(-1, len(names)), names, labels if place is not None else None


def _number(cell, where, name, missing):
    """The number of a cell; NaN, and a note in `missing`, where there is none. Raises DataError for text and
    infinities."""
    text = cell.strip()
    if text.lower() in MISSING:
        missing.append(f"line {where.rpartition(' ')[2]}, column {name}")
        return math.nan
    if _is_number(text) and not math.isinf(float(text)):
        return float(text)
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        cure = "write decimals with a point"
    else:
        cure = "drop the column or make it a number; a column of labels is named by --labels NAME (in Python labels=)"
    raise DataError(f"{where}, column {name} holds {text[:40]!r}, no finite number: {cure}")


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
