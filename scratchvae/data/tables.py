"""Numbers in columns: scaled by what the training rows hold, and brought back to their own units on the way out."""

from pathlib import Path

import numpy as np

from scratchvae import gate
from scratchvae.data.assembly import held_out
from scratchvae.data.csv_file import read_table
from scratchvae.data.dataset import Dataset, Split
from scratchvae.data.labels import numbered
from scratchvae.data.scaling import apply, measure_scaling


def load_csv(path, options):
    """A Dataset of (1, W) from a .csv of numbers: one example per line, a header or none, a column of labels if one is
    named."""
    path = Path(path)
    options.only("scale", "labels", where=path)
    table, names, labels = read_table(path, options.labels)
    return to_table(
        path.name, table, None if labels is None else numbered(labels), names, path, f"The table in {path}", options
    )


def to_table(name, table, labels, columns, where, source, options):
    """A Dataset of (1, W) from numbers (N, W), scaled as `options.scale` says (default: unit).

    The scaling is worked out on the training rows; what of the test rows then lies outside [0, 1] is set to the nearest
    end, and counted. Raises DataError naming the row and column of what is not finite.
    """
    gate.extent(table, where)
    rows, note, said = held_out(labels, len(table), where, options)
    scaling = measure_scaling(table[rows["train"]], columns, options.scale or "unit", where)
    parts = {part: apply(scaling, table[of]) for part, of in rows.items()}
    if scaling["rule"] == "unit":
        outside = {part: int(((x < 0) | (x > 1)).sum()) for part, x in parts.items()}
        scaling["outside"] = outside["test"]
        parts = {part: np.clip(x, 0, 1) for part, x in parts.items()}
    splits = {
        part: Split(x.astype(np.float32), None if labels is None else labels[rows[part]]) for part, x in parts.items()
    }
    source = f"{source}; {said.replace(' images ', ' rows ')}"
    return Dataset(name, (1, len(columns)), source=source, preparation={**note, "scaling": scaling}, **splits)
