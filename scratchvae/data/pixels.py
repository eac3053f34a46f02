"""From whatever array someone has to pixels that we can train on. Nothing is guessed: doubt is an error."""

import math

import numpy as np

from scratchvae.errors import DataError

BLOCK = 1 << 20  # pixels looked at together, so that no check makes a second copy of a large set


def to_pixels(images, where):
    """(N, H, W) or (N, D) → (N, D) uint8 or float32 in [0, 1], and (height, width); copies only to convert.

    An image of D pixels counts as square when D is a square number, and as one line otherwise.
    Raises DataError naming `where` and the first image at fault.
    """
    if images.ndim not in (2, 3):
        hint = " (colour is not supported: convert to grey)" if images.ndim == 4 else ""
        raise DataError(f"{where}: images of shape {images.shape}{hint}; give (N, height, width) or (N, pixels)")
    if images.size == 0:
        raise DataError(f"{where}: images of shape {images.shape} are empty: give at least one pixel of one image")
    if images.ndim == 3:
        image_shape = images.shape[1:]
    else:
        side = math.isqrt(images.shape[1])
        image_shape = (side, side) if side * side == images.shape[1] else (1, images.shape[1])
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    if flat.dtype == np.bool_:
        return np.where(flat, np.uint8(255), np.uint8(0)), image_shape
    if flat.dtype.kind not in "uif":
        raise DataError(f"{where}: pixels of type {flat.dtype}; give uint8 (0..255), bool, or floats in [0, 1]")
    if flat.dtype != np.uint8:
        _check_unit_range(flat, where)
        return flat.astype(np.float32, copy=False), image_shape
    if flat.max() == 1:
        raise DataError(
            f"{where}: uint8 pixels that never exceed 1, where 255 is white: if 1 is white, "
            "save them as images.astype(bool)"
        )
    return flat, image_shape


def _check_unit_range(flat, where):
    step = max(1, BLOCK // flat.shape[1])
    for start in range(0, len(flat), step):
        block = flat[start : start + step]
        good = (block >= 0) & (block <= 1)  # NaN is neither
        if good.all():
            continue
        row, column = np.argwhere(~good)[0]
        value = block[row, column]
        if not np.isfinite(value):
            advice = "repair or drop that image"
        elif flat.min() >= 0 and flat.max() <= 255:
            advice = "if 255 is white, save images.astype(np.uint8), or divide by 255"
        else:
            advice = "scale the pixels so that 0 is black and 1 is white"
        raise DataError(f"{where}: image {start + row}, pixel {column} is {value}, outside [0, 1]: {advice}")


def to_labels(labels, count, where):
    """(N,) integers → uint8 as they are, any other integers as int64; None stays None. DataError otherwise."""
    if labels is None:
        return None
    if labels.shape != (count,):
        raise DataError(f"{where}: labels of shape {labels.shape} for {count} images: give one integer per image")
    if labels.dtype.kind not in "uib" or labels.max() > np.iinfo(np.int64).max:
        raise DataError(f"{where}: labels of type {labels.dtype} up to {labels.max()}: give integers that fit int64")
    return labels if labels.dtype == np.uint8 else labels.astype(np.int64)
