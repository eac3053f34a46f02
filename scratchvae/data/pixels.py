"""From whatever array someone has to pixels, labels and fields that we can train on. Nothing is guessed: doubt is an
error."""

import math

import numpy as np

from scratchvae import gate
from scratchvae.data.mapped import Rows
from scratchvae.data.npy import MOST_AXES
from scratchvae.errors import DataError

UNIT = (0, 1)  # black and white


def to_pixels(images, where, support=UNIT):
    """(N, H, W), (N, H, W, 3) or (N, D) → (N, D) uint8 or float32 within `support`, and the shape of an image; copies
    only to convert.

    An image of D pixels counts as square when D is a square number, and as one line otherwise; of a fourth axis of size
    1, the one channel of grey, nothing is left. Raises DataError naming `where` and the first row and column at fault.
    """
    images = upright(images, where)
    rows = to_rows(images, where)
    more = "; of a table, let --scale do it (in Python scale=)" if images.ndim == 2 and rows.dtype != np.uint8 else ""
    gate.check_support(rows, extent(rows, where), support, where, "a data set of images", more)
    if images.ndim > 2:
        return rows, images.shape[1:]
    side = math.isqrt(images.shape[1])
    return rows, (side, side) if side * side == images.shape[1] else (1, images.shape[1])


def upright(images, where):
    """`images`, a fourth axis of one channel taken away. Raises DataError for what would be another picture if it were
    flattened."""
    images = gate.array(images, where)
    if images.ndim == 4 and images.shape[3] != 3 and 1 in (images.shape[3], images.shape[1]):
        images = images[..., 0] if images.shape[3] == 1 else images[:, 0]
    if images.ndim > 3 and not (images.ndim == 4 and images.shape[3] == 3):
        cure = "give (N, height, width), (N, height, width, 3) or (N, pixels)"
        if images.ndim == 4 and images.shape[1] == 3:
            cure = "channels come last: give images.transpose(0, 2, 3, 1)"
        raise DataError(f"{where}: images of shape {images.shape}: {cure}")
    return images


def to_rows(images, where):
    """(N, …) of anything that `gate.array` takes → (N, D), uint8 where 255 is white, or float32; copies only to
    convert."""
    images = upright(images, where)
    if images.ndim < 2 or images.size == 0:
        fault = "are empty" if images.ndim > 1 or images.size == 0 else "are no rows"
        raise DataError(
            f"{where}: images of shape {images.shape} {fault}: give (N, height, width) or (N, pixels), one or more"
        )
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    if rows.dtype == np.bool_:
        return np.where(rows, np.uint8(255), np.uint8(0))
    if rows.dtype != np.uint8:
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is found by its place
            return rows.astype(np.float32, copy=False)
    if rows[0].max() <= 1 and rows.max() == 1:  # the first image says enough of nearly every set
        raise DataError(
            f"{where}: uint8 pixels that never exceed 1, where 255 is white: if 1 is white, give images.astype(bool)"
        )
    return rows


def extent(rows, where):
    """Bounds of what `gather` makes of rows (N, D), the narrowest but for uint8. Raises DataError naming the first that
    is not finite."""
    return (0.0, 1.0) if rows.dtype == np.uint8 else gate.extent(rows, where)


def to_labels(labels, count, where):
    """(N,) integers or names → uint8 as they are, other integers as int64, names as an array of text; None stays None.

    Raises DataError for anything else.
    """
    if labels is None:
        return None
    labels = gate.array(labels, where, text=True)
    if labels.shape != (count,):
        raise DataError(
            f"{where}: labels of shape {labels.shape} for {count} images: give one integer or name per image"
        )
    if labels.dtype.kind == "U":
        return labels
    if labels.dtype.kind not in "uib" or labels.max() > np.iinfo(np.int64).max:
        raise DataError(
            f"{where}: labels of type {labels.dtype} up to {labels.max()}: give names, or integers that fit int64"
        )
    return labels if labels.dtype == np.uint8 else labels.astype(np.int64)


def to_field(name, values, count, where):
    """The field `name` (count, …) → float32 for floats, and whole numbers and bools as they are; copies only to
    convert.

    Raises DataError naming the first row and column that is not finite.
    """
    where = f"{where}, field {gate.shown(name)[1:-1]}"
    if not name.isidentifier():
        raise DataError(f"{where}: no name for a field: take letters, digits and _, as for a variable")
    if isinstance(values, Rows) and len(values) == count:  # which were looked at as a whole
        return values
    found = gate.array(values, where)
    if found.shape[:1] != (count,) or found.size == 0 or found.ndim > MOST_AXES:
        raise DataError(f"{where}: shape {found.shape} for {count} images: give ({count}, …), one entry per image")
    kind = np.float32 if found.dtype.kind == "f" else found.dtype.newbyteorder("=")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is found by its place
        found = np.ascontiguousarray(found, kind)
    if found.dtype.kind == "f":
        gate.extent(found, where)
    return found
