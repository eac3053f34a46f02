"""A Dataset as one .npz that `load` reads again: pixels, labels or class names, the split, and what was done."""

import csv
import io
import json

import numpy as np

from scratchvae import gate
from scratchvae.data.dataset import Dataset
from scratchvae.data.scaling import undo
from scratchvae.errors import DataError
from scratchvae.files import replacing, write_text

NOTE = "preparation"  # the member that holds Dataset.preparation, as JSON bytes
FIELDS = "fields"  # the member that names the fields beside images and labels, where there are any


def save_npz(dataset, path):
    """Write all splits of `dataset` to the .npz file `path`. Raises OutputError.

    Images are uint8, or float32 as training sees them: (N, H, W), (N, H, W, 3), or (N, 1, W) for tables and series.
    Labels that have names are written as these, and further fields as they are.
    """
    path = gate.file_path("path", path)
    gate.instance("dataset", dataset, Dataset, "a Dataset")
    arrays = {NOTE: np.frombuffer(json.dumps(dataset.preparation).encode(), np.uint8)}
    if others := list(dataset.train.others):
        arrays[FIELDS] = np.array(others)
    for part, split in dataset.splits.items():
        arrays |= {f"{part}_{name}": np.asarray(array) for name, array in split.others.items()}
        arrays[f"{part}_images"] = np.asarray(split.images).reshape(-1, *dataset.image_shape)
        if split.labels is not None:
            arrays[f"{part}_labels"] = np.array(split.classes)[split.labels] if split.classes else split.labels
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def write_csv(path, x, note):
    """Write numbers x (N, W) that a model made to a .csv, in the units and with the columns of its data
    (`Dataset.note`).

    Raises DataError when these are no table or series, and OutputError.
    """
    path, x = gate.file_path("path", path), gate.array(x, "x")
    if not isinstance(note, dict) or "image_shape" not in note or x.ndim != 2:
        raise DataError(
            f"{path}: write_csv takes numbers (N, W) and what Dataset.note says, not {gate.shown(x)} and "
            f"{gate.shown(note)}"
        )
    if note["image_shape"][0] != 1 or len(note["image_shape"]) != 2:
        raise DataError(
            f"{path}: a .csv holds tables and series, not images of {note['image_shape']}: write a .png or .npz"
        )
    preparation = note.get("preparation", {})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(preparation.get("scaling", {}).get("columns") or [f"column {i}" for i in range(x.shape[1])])
    writer.writerows(undo(preparation, x).tolist())
    write_text(path, text.getvalue())
