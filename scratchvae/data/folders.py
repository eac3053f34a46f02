"""A folder of idx files, named as MNIST's are."""

import os
from pathlib import Path

from scratchvae.data.assembly import to_dataset
from scratchvae.data.idx import read_idx
from scratchvae.errors import DataError

ENDINGS = ("-{}-ubyte", ".{}-ubyte", "-{}-ubyte.gz", ".{}-ubyte.gz")


def find_idx_folder(folder):
    """The one folder, `folder` or one below it, with files named like idx files (torchvision keeps them in MNIST/raw);
    or None.

    Raises DataError when there are several.
    """
    found = [Path(here) for here, _, names in os.walk(folder) if any("-ubyte" in name for name in names)]
    if Path(folder) in found or not found:
        return Path(folder) if found else None
    if len(found) > 1:
        raise DataError(
            f"{folder}: idx files lie in {len(found)} folders, {found[0]} and {found[1]} among them: name one of them"
        )
    return found[0]


def load_idx_folder(folder, options):
    """A Dataset from train-images-idx3-ubyte and, where there are any, train-labels-idx1-ubyte,
    t10k- or test-images-idx3-ubyte and its labels; '.idx3-ubyte' will do, and so will '.gz' on top.

    Without test images a tenth is held out, as `options` say. Raises DataError, naming the file, for anything amiss.
    """
    options.only(where=folder)
    parts = {part: _read_split(folder, names) for part, names in (("train", ("train",)), ("test", ("t10k", "test")))}
    if parts["train"] is None:
        raise DataError(f"{folder}: no train-images-idx3-ubyte (or .gz) there: name the files as MNIST's are named")
    given = {part: triple for part, triple in parts.items() if triple is not None}
    return to_dataset(folder.resolve().name, given, f"The idx files in {folder}", options)


def _read_split(folder, prefixes):
    images = _find(folder, [f"{prefix}-images" for prefix in prefixes], "idx3")
    labels = _find(folder, [f"{prefix}-labels" for prefix in prefixes], "idx1")
    if images is None:
        if labels is not None:
            raise DataError(f"{labels}: labels without images: add {prefixes[0]}-images-idx3-ubyte, or move them away")
        return None
    return read_idx(images, 3), None if labels is None else read_idx(labels, 1), images


def _find(folder, stems, kind):
    found = [
        path for stem in stems for ending in ENDINGS if (path := folder / (stem + ending.format(kind))).exists()
    ]
    # A file beside its own .gz is what gunzip -k leaves: the same data. Anything else would be a guess.
    if len({path.name.removesuffix(".gz") for path in found}) > 1:
        raise DataError(f"{folder}: both {found[0].name} and {found[1].name} are there: keep one of them")
    return found[0] if found else None
