"""From whatever array someone has to pixels that we can train on. Nothing is guessed: doubt is an error."""

import math

import numpy as np

from scratchvae.data.dataset import Dataset, Split
from scratchvae.errors import DataError

BLOCK = 1 << 20  # pixels looked at together, so that no check makes a second copy of a large set


def to_dataset(name, train, test, source):
    """A Dataset from (images, labels, where) triples, `where` being what an error message calls them.

    images  (N, H, W) or (N, D): uint8, bool, or numbers in [0, 1];  labels  (N,) integers or None
    test    None holds out the last tenth of the training images, and at least one
    source  where the data come from; how they were split is added to it
    """
    pixels, image_shape = to_pixels(train[0], train[2])
    labels = to_labels(train[1], len(pixels), train[2])
    if test is None:
        held_out = max(1, len(pixels) // 10)
        if len(pixels) < 2:
            raise DataError(f"{train[2]}: one image cannot be split into training and test: give at least two")
        first, last = slice(None, -held_out), slice(-held_out, None)
        parts = [Split(pixels[rows], None if labels is None else labels[rows]) for rows in (first, last)]
        split = f"no test split was given, so the last {held_out} of {len(pixels)} images are held out as test."
        return Dataset(name, image_shape, *parts, f"{source}; {split}")
    test_pixels, test_shape = to_pixels(test[0], test[2])
    if test_shape != image_shape:
        raise DataError(
            f"{test[2]}: images of {_size(test_shape)}, but the training images in {train[2]} have "
            f"{_size(image_shape)}: make them one size"
        )
    test_labels = to_labels(test[1], len(test_pixels), test[2])
    return Dataset(
        name,
        image_shape,
        Split(pixels, labels),
        Split(test_pixels, test_labels),
        f"{source}; split into training and test as given.",
    )


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


def _size(image_shape):
    return f"{image_shape[0]} x {image_shape[1]} pixels"
