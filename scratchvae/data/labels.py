"""Labels from a file of their own: a .csv of (file, label), or one label per image, in order, as .npy or .csv."""

from pathlib import Path, PurePosixPath

import numpy as np

from scratchvae.data.csv_file import open_rows
from scratchvae.data.mapped import open_npy
from scratchvae.errors import DataError


def labels_of_files(path, names, folder):
    """Labels of the image files `names` (relative to `folder`), in their order → array (N,), and the names that are of
    no image.

    A .csv has the columns file and label, and a header or none; a file is named by its path in the folder or its last
    part, with its ending or without. Anything else is read as `labels_in_order`, the names being sorted.
    Raises DataError naming an image without a label.
    """
    if Path(path).suffix.lower() != ".csv":
        order = np.argsort(np.argsort(names))
        return labels_in_order(path, len(names))[order], []
    with open_rows(path) as reader:
        rows = {}
        for row in filter(None, reader):
            if len(row) != 2:
                raise DataError(f"{path}, line {reader.line_num}: {len(row)} columns where 2 belong: give file,label")
            name = row[0].strip().replace("\\", "/").removeprefix("./")
            if rows.setdefault(name, row[1].strip()) != row[1].strip():
                raise DataError(
                    f"{path}, line {reader.line_num}: {name} has the labels {rows[name]} and {row[1].strip()}: keep one"
                )
    used, labels = set(), []
    short = [
        [str(PurePosixPath(name).with_suffix("")), PurePosixPath(name).name, PurePosixPath(name).stem] for name in names
    ]
    for name, others in zip(names, short, strict=True):
        key = next((key for key in [name, *others] if key in rows), None)
        if key is None:
            raise DataError(
                f"{path}: has no label for {name} in {folder}: add the line {name},LABEL, or move the image away"
            )
        if key in used:
            raise DataError(
                f"{path}: {key} names more than one image, {name} among them: give paths as they are in the folder"
            )
        used.add(key)
        labels.append(rows[key])
    # the first may be a header
    return numbered(labels), [name for i, name in enumerate(rows) if name not in used and i]


def labels_in_order(path, count):
    """One label per image from a .npy or a .csv of one column (with a header or none) → array (count,). Raises
    DataError."""
    if Path(path).suffix.lower() == ".npy":
        labels = open_npy(path)
    elif Path(path).suffix.lower() == ".csv":
        with open_rows(path) as reader:
            labels = [row[0].strip() for row in reader if len(row) == 1]
        labels = numbered(labels[len(labels) == count + 1 :])
    else:
        raise DataError(f"{path}: labels come from a .csv or a .npy: save them as one of these")
    if labels.shape != (count,):
        raise DataError(f"{path}: labels of shape {labels.shape} for {count} images: give one per image")
    return labels


def numbered(labels):
    """Texts → an array of whole numbers where all are, of text otherwise."""
    try:
        return np.array([int(label) for label in labels], np.int64)
    except (ValueError, OverflowError):
        return np.array(labels)
