"""A data set from a .npy or .npz file."""

import json
from pathlib import Path

import numpy as np

from scratchvae.data.assembly import to_dataset
from scratchvae.data.labels import labels_in_order
from scratchvae.data.mapped import open_npy
from scratchvae.data.npy import read_npz
from scratchvae.data.saving import FIELDS, NOTE
from scratchvae.data.scaling import check_scaling
from scratchvae.data.tables import to_table
from scratchvae.errors import DataError

# images and labels of train, test and validation
KEYS = (
    ("train_images", "train_labels", "test_images", "test_labels", "validation_images", "validation_labels"),
    ("x_train", "y_train", "x_test", "y_test", "x_val", "y_val"),
    ("images", "labels", None, None, None, None),
)


def load_npy(path, options):
    """A Dataset from one .npy of images, (N, H, W), (N, H, W, 3) or (N, D), or of a table where `options.scale` says
    so; a tenth is held out. A large one is mapped, not read."""
    path = Path(path)
    options.only("labels", "scale", where=path)
    images = open_npy(path)
    labels = None if options.labels is None else labels_in_order(options.labels, len(images) if images.ndim else 0)
    return _to_dataset(path, {"train": (images, labels, path)}, f"The array in {path}", options)


def load_npz(path, options):
    """A Dataset from an .npz that holds one of the sets of names in KEYS; labels and test split may be missing.

    An array FIELDS of text names further fields: "targets" stands beside train_images as train_targets, beside x_train
    as targets_train.
    """
    path = Path(path)
    options.only("scale", where=path)
    arrays = read_npz(path, [NOTE, FIELDS, *(key for keys in KEYS for key in keys if key)], text=True)
    for keys in KEYS:
        if keys[0] not in arrays:
            continue
        parts, fields = {}, {}
        for part, images, labels in zip(("train", "test", "validation"), keys[::2], keys[1::2], strict=True):
            if images in arrays:
                parts[part] = (arrays[images], arrays.get(labels), f"{path}, {images}")
                fields[part] = _fields(path, arrays, images)
            elif labels in arrays:
                raise DataError(f"{path}: {labels} without {images}: add the {part} images, or drop their labels")
        return _to_dataset(path, parts, f"The arrays in {path}", options, _note(arrays, path), fields)
    raise DataError(
        f"{path}: holds none of the arrays {', '.join(keys[0] for keys in KEYS)}: "
        f"name its arrays {', '.join(KEYS[0][:4])} (the last three are optional)"
    )


def _fields(path, arrays, images):
    """{name: array} of the fields that stand beside the array `images`. Raises DataError where one is named and not
    there."""
    names = arrays.get(FIELDS, np.array([], "U1"))
    if names.dtype.kind != "U" or names.ndim != 1 or {"images", "labels", "classes"} & set(names.tolist()):
        raise DataError(
            f"{path}, {FIELDS}: must name fields beside images, labels and classes, as np.array(['targets'])"
        )
    keys = {
        name: images.replace("images", name) if "images" in images else images.replace("x", name, 1)
        for name in names.tolist()
    }
    found = read_npz(path, keys.values())
    if missing := [key for key in keys.values() if key not in found]:
        raise DataError(f"{path}: no array {missing[0]}, which its array {FIELDS} names: add it, or drop that name")
    return {name: found[key] for name, key in keys.items()}


def _note(arrays, path):
    """The scaling that `save_npz` noted of a table before it came into this file, so that it can be brought back to its
    units."""
    if NOTE not in arrays:
        return {}
    try:
        note = json.loads(arrays[NOTE].tobytes())
        if not isinstance(note, dict):
            raise TypeError("no JSON object")
        return {"scaling": check_scaling(note["scaling"])} if "scaling" in note else {}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{path}, {NOTE}: makes no sense ({str(error)[:100]}): convert the data again, or leave that array out"
        ) from error


def _to_dataset(path, parts, source, options, note=None, fields=None):
    if options.scale is None:
        return to_dataset(path.name, parts, source, options, note, fields=fields)
    if any((fields or {}).values()):
        raise DataError(
            f"{path}: a table with further fields is not scaled here: scale it before, and leave --scale out"
        )
    if len(parts) > 1:
        raise DataError(f"{path}: a table is scaled before it is split: give one array, and a tenth of it is held out")
    table, labels, where = parts["train"]
    if (
        table.dtype.kind not in "buif"
        or table.ndim < 2
        or table.size == 0
        or len(table) * max(table.shape[1:]) != table.size
    ):
        raise DataError(
            f"{where}: {table.dtype} of shape {table.shape} is no table: give numbers of shape (N, columns)"
        )
    table = table.reshape(len(table), -1).astype(np.float64)
    columns = [f"column {i}" for i in range(table.shape[1])]
    return to_table(path.name, table, labels, columns, where, source, options)
