"""One door to every data set."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from scratchvae import gate
from scratchvae.data import generated
from scratchvae.data.arrays import load_npy, load_npz, read_npz
from scratchvae.data.dataset import Dataset, Split
from scratchvae.data.fetch import fetch
from scratchvae.data.folders import find_idx_folder, load_idx_folder
from scratchvae.data.idx import read_idx
from scratchvae.data.image_folder import load_image_folder
from scratchvae.data.known import KNOWN_SETS
from scratchvae.data.listing import list_images
from scratchvae.data.options import Options
from scratchvae.data.tables import load_csv
from scratchvae.errors import DataError

NAMES = ("mnist-small", *KNOWN_SETS, *generated.NAMES)

BUNDLED = Path(__file__).with_name("bundled") / "mnist_small.npz"
BUNDLED_SHA256 = "4ff31a68777e57cad7e7885458d2d8babde29255d715e8e355f8fb6779038253"


def load(
    name_or_path, *, size=None, fit="crop", grey=False, labels=None, scale=None, held_out="shuffled", seed=0,
    progress=True
):
    """The data set of that name, or at that path.

    "mnist-small"             bundled: the first 5,000 training and 1,000 test images of MNIST; needs no network
    "mnist", "fashion-mnist"  60,000 and 10,000 images; downloaded on first use, see `scratchvae.data.fetch`
    "clutter", "overlap", "figures", "clutter-mnist", "overlap-mnist"
                              made with `seed`, and with further fields; see `scratchvae.data.generated`
    a path                    a folder of images or of idx files, a .npz, .npy or .csv; write "./mnist" for a folder
                              that has the name of a set

    The options are those of `Options`: size, fit and grey say what to do with image files, labels where their labels
    are, scale how a table is scaled, held_out and seed which images are held out where there is no test split.
    progress: a bar, on a terminal.

    Returns a Dataset, whose `preparation` says all that was done, and `told` says it in words. Raises DataError, which
    says what is wrong, where, and what to do, and ConfigError for an option.
    """
    options = Options(size, fit, grey, labels, scale, held_out, seed)
    if not isinstance(name_or_path, str):
        name_or_path = gate.file_path("name_or_path", name_or_path)
    if str(name_or_path) in NAMES:
        options.only(where=name_or_path)
        if name_or_path in generated.NAMES:
            return generated.generate(name_or_path, options.seed, load)
        known = KNOWN_SETS.get(str(name_or_path))
        return load_bundled(BUNDLED) if known is None else load_known(known)
    try:
        path = Path(name_or_path).expanduser()
        dataset = _load_path(path, options, progress)
    except OSError as error:
        raise DataError(
            f"{error.filename or name_or_path}: cannot be read ({error.strerror or error}): check the path"
        ) from error
    asked = options.to_dict()
    # a file: kept by its place beside the data, so that both may move
    if "labels" in asked and path.suffix.lower() != ".csv":
        asked["labels"] = os.path.relpath(options.labels, path.parent)
    return replace(dataset, location=str(path.resolve()), preparation={"options": asked, **dataset.preparation})


def load_again(note, location=None):
    """The data set that a run was made with, by what its configuration keeps under "data" (`Dataset.note`).

    location  where it lies now, if it has been moved
    The caller compares fingerprints. A note without "preparation" is from version 0.1.0, which held out the last tenth.
    """
    gate.instance("note", note, dict, "what Dataset.note says")
    if "location" not in note:
        raise DataError("this note of a data set has no location, so it was made in Python: make it again there")
    preparation = note.get("preparation", {"options": {"held_out": "last"}})
    location = note["location"] if location is None else str(gate.file_path("location", location))
    options = dict(preparation.get("options", {}))
    if "labels" in options and Path(location).suffix.lower() != ".csv":
        options["labels"] = Path(location).expanduser().parent / options["labels"]
    dataset = load(location, **options)
    if "validation" in preparation:
        dataset = dataset.with_validation(*(preparation["validation"][key] for key in ("fraction", "seed")))
    return dataset


def _load_path(path, options, progress):
    if path.is_dir():
        listing = list_images(path)
        has_idx = any("-ubyte" in name for name in listing.skipped.get("no image", ()))
        idx = find_idx_folder(path) if has_idx else None
        return load_image_folder(listing, options, progress) if idx is None else load_idx_folder(idx, options)
    if not path.exists():
        raise DataError(f"{path}: neither a path that exists nor one of {', '.join(NAMES)}: check the spelling")
    loaders = {".npz": load_npz, ".npy": load_npy, ".csv": load_csv}
    if path.suffix.lower() not in loaders:
        raise DataError(
            f"{path}: not a kind of file that is read: give a .npz, .npy or .csv, or a folder of images or idx files"
        )
    if not path.is_file():
        raise DataError(f"{path}: not a regular file: give the data as a file")
    return loaders[path.suffix.lower()](path, options)


def load_known(known):
    """The Dataset of a KnownSet, its files found or downloaded, and verified."""
    train_images, train_labels, test_images, test_labels = fetch(known)
    images = read_idx(train_images, 3)
    return Dataset(
        name=known.name,
        image_shape=images.shape[1:],
        train=Split(_flat(images), read_idx(train_labels, 1)),
        test=Split(_flat(read_idx(test_images, 3)), read_idx(test_labels, 1)),
        source=known.source,
        location=known.name,
    )


def load_bundled(path):
    """The Dataset in the .npz that is part of this package (a known sha256: a damaged installation is an error)."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): install scratchvae again") from error
    if found != BUNDLED_SHA256:
        raise DataError(f"{path}: damaged (sha256 {found} where {BUNDLED_SHA256} belongs): install scratchvae again")
    keys = ("train_images", "train_labels", "test_images", "test_labels")
    arrays = read_npz(path, keys)
    return Dataset(
        name="mnist-small",
        image_shape=(28, 28),
        train=Split(_flat(arrays["train_images"]), arrays["train_labels"]),
        test=Split(_flat(arrays["test_images"]), arrays["test_labels"]),
        source="MNIST (Yann LeCun, Corinna Cortes): the first 5,000 training and the first 1,000 test images, "
        "split by its authors; bundled under CC BY-SA 3.0.",
        location="mnist-small",
    )


def _flat(images):
    return np.reshape(images, (len(images), -1))
