"""Data beyond memory: arrays that stay in their file, and rows of them in any order."""

import math
import os
import stat

import numpy as np

from scratchvae.data.npy import read_header, read_npy
from scratchvae.errors import DataError

IN_MEMORY = 1 << 30  # bytes of an array that are read into memory; a larger one stays in its file and is mapped


def open_npy(path):
    """The array in a .npy file of numbers or text; a large one is mapped into memory, not read. Raises DataError if it
    is damaged."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for the program that writes into it
        raise DataError(f"{path}: not a regular file: give a .npy file")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= IN_MEMORY:
            return read_npy(file, size, path, text=True)
        dtype, fortran, shape = read_header(file, size, path, math.inf)
        if fortran or dtype not in (np.uint8, np.float32):
            raise DataError(
                f"{path}: {size:,} bytes stay in the file, so it must hold uint8 or float32 in C order, not {dtype}"
                f"{' in Fortran order' * fortran}: save it so"
            )
        return np.memmap(path, dtype, "r", file.tell(), shape)


class Rows:
    """Rows of a mapped array (N, …), none of which is read before it is asked for: what a Split holds of a set beyond
    memory.

    It has what a batch, a fingerprint and a figure need of an array; `np.asarray` reads all of it.
    """

    def __init__(self, images, rows):
        self.images, self.rows = images, np.asarray(rows)
        self.dtype, self.ndim, self.shape = images.dtype, images.ndim, (len(self.rows), *images.shape[1:])

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        return self.images[self.rows[key]]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.images[self.rows], dtype)

    def take(self, rows, axis=0, out=None, mode="clip"):
        """As ndarray.take along the first axis."""
        return self.images.take(self.rows[rows], axis=axis, out=out, mode=mode)


def pick(images, rows):
    """images[rows], without reading them where the array is mapped.   (N, …) → (len(rows), …)"""
    if isinstance(rows, slice) and isinstance(images, np.ndarray):
        return images[rows]
    if isinstance(images, Rows):
        return Rows(images.images, images.rows[rows])
    return Rows(images, rows) if is_mapped(images) else images[rows]


def is_mapped(array):
    """Whether the array's numbers lie in a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None
