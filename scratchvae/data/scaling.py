"""Scaling of a table's columns: worked out on training rows, kept as JSON can hold it, undone on the way out."""

import numpy as np

from scratchvae import gate
from scratchvae.data.options import SCALES
from scratchvae.errors import DataError


def measure_scaling(table, columns, rule, where):
    """→ {"rule", "columns", "offset", "scale", "constant"}: x = (value − offset) / scale. A constant column has scale
    1."""
    with np.errstate(all="ignore"):
        if rule == "unit":
            offset = table.min(axis=0)
            scale = table.max(axis=0) - offset
        elif rule == "standard":
            offset, scale = table.mean(axis=0), table.std(axis=0)
        else:
            offset, scale = np.zeros(len(columns)), np.ones(len(columns))
    for column in np.flatnonzero(~np.isfinite(offset + scale)):
        raise DataError(f"{where}: column {columns[column]} spans more than a number can hold: scale it down")
    constant = table.min(axis=0) == table.max(axis=0)
    return {
        "rule": rule, "columns": list(columns), "offset": offset.tolist(),
        "scale": np.where(scale == 0, 1, scale).tolist(),
        "constant": [name for name, is_constant in zip(columns, constant, strict=True) if is_constant],
    }  # fmt: skip


def check_scaling(scaling):
    """The same scaling, of which only known fields are kept. Raises ValueError, TypeError or KeyError for what is
    none."""
    known = {
        "rule": str(scaling["rule"]),
        "columns": list(map(str, scaling["columns"])),
        "constant": list(map(str, scaling["constant"])),
    }
    numbers = {key: np.array(scaling[key], np.float64) for key in ("offset", "scale")}
    if (
        any(n.shape != (len(known["columns"]),) or not np.isfinite(n).all() for n in numbers.values())
        or known["rule"] not in SCALES
    ):
        raise ValueError("a scaling needs a finite offset and scale for every column")
    return known | {key: n.tolist() for key, n in numbers.items()}


def apply(scaling, values):
    """(value − offset) / scale, column by column.   values (N, W) → float64 (N, W)"""
    return (values - np.array(scaling["offset"])) / np.array(scaling["scale"])


def undo(preparation, x):
    """Numbers in their own units again: x · scale + offset where a table was scaled, x itself otherwise.
    x (N, W) → (N, W)"""
    gate.instance("preparation", preparation, dict, "what Dataset.preparation holds")
    if "scaling" not in preparation:
        return x
    scaling = preparation["scaling"]
    x = gate.array(x, "x").astype(np.float64)
    if x.ndim == 0 or x.shape[-1] != len(scaling["scale"]):
        raise DataError(f"a table of {len(scaling['scale'])} columns has rows of as many numbers, not {gate.shown(x)}")
    return x * np.array(scaling["scale"]) + np.array(scaling["offset"])
