""".npy and .npz files, read strictly: plain numbers only, nothing unpickled, nothing allocated on a header's word."""

import ast
import math
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from scratchvae.data.assembly import to_dataset
from scratchvae.data.idx import DEFLATE_RATIO, MAX_BYTES, read_exactly
from scratchvae.errors import DataError

# train images, train labels, test images, test labels
KEYS = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("images", "labels", None, None),
)

# What zipfile raises on damaged files; RuntimeError on encrypted ones, and its NotImplementedError on strange methods.
ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError)


def load_npy(path, **options):
    """A Dataset from one .npy of images, (N, H, W) or (N, D); a tenth is held out as `options` of to_dataset say."""
    path = Path(path)
    with open(path, "rb") as file:
        images = _read_npy(file, path.stat().st_size, path)
    return to_dataset(path.name, (images, None, path), None, f"The array in {path}", **options)


def load_npz(path, **options):
    """A Dataset from an .npz that holds one of the sets of names in KEYS; labels and test split may be missing."""
    path = Path(path)
    arrays = read_npz(path, [key for keys in KEYS for key in keys if key])
    for keys in KEYS:
        if keys[0] not in arrays:
            continue
        images, labels, test_images, test_labels = (arrays.get(key) for key in keys)
        if test_images is None and test_labels is not None:
            raise DataError(f"{path}: {keys[3]} without {keys[2]}: add the test images, or drop their labels")
        test = None if test_images is None else (test_images, test_labels, f"{path}, {keys[2]}")
        return to_dataset(path.name, (images, labels, f"{path}, {keys[0]}"), test, f"The arrays in {path}", **options)
    raise DataError(
        f"{path}: holds none of the arrays {', '.join(keys[0] for keys in KEYS)}: "
        f"name its arrays {', '.join(KEYS[0])} (the last three are optional)"
    )


def read_npz(path, names):
    """Those of the arrays `names` that are in the .npz file `path`, as a dict. Raises DataError if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            return {name: _read_member(archive, members[name], path) for name in names if name in members}
    except DataError:
        raise
    except ZIP_FAULTS as error:
        raise DataError(f"{path}: damaged .npz file ({error}): save it again") from error


def _read_member(archive, info, path):
    where = f"{path}, {info.filename}"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where}: compressed in a way that NumPy does not write: use np.savez_compressed")
    if info.file_size > info.compress_size * DEFLATE_RATIO:
        raise DataError(f"{where}: claims {info.file_size} bytes, more than it can hold: save it again")
    with archive.open(info) as stream:
        return _read_npy(stream, info.file_size, where)


def _read_npy(stream, size, where):
    """An array from `size` bytes in the .npy format, versions 1 to 3 (described in numpy.lib.format)."""
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise DataError(f"{where}: not a .npy array: save it with np.save or np.savez_compressed")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > 10_000:  # NumPy's own limit
        raise DataError(f"{where}: a .npy header of {length} bytes: save it with np.save")
    try:
        header = ast.literal_eval(stream.read(length).decode("utf-8").strip())
        descr, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
        # Only plain numbers: object arrays would have to be unpickled, structured ones are no images.
        dtype = np.dtype(descr) if re.fullmatch(r"[<>|=]?[biuf][1248]", str(descr)) else None
        shape = tuple(int(n) for n in shape)
    except (ValueError, SyntaxError, TypeError, KeyError, ArithmeticError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: a .npy header that makes no sense ({error}): save it with np.save") from error
    if dtype is None:
        raise DataError(f"{where}: elements of type {descr}: save plain numbers, as images.astype(np.uint8)")
    if len(shape) > 4 or min(shape, default=0) < 0 or math.prod(max(n, 1) for n in shape) * dtype.itemsize > MAX_BYTES:
        raise DataError(f"{where}: an array of shape {shape}; at most 4 dimensions and {MAX_BYTES} bytes are read: give less")
    found = size - 8 - width - length
    if found != math.prod(shape) * dtype.itemsize:
        raise DataError(f"{where}: {found} bytes of data for shape {shape} {dtype}: damaged, save it again")
    # Fortran order is the transpose of C order.
    array = read_exactly(stream, np.empty(shape[::-1] if fortran else shape, dtype), where)
    return array.T if fortran else array
