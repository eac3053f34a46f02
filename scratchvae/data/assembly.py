"""From arrays to a Dataset: the gate for each, and the split."""

import numpy as np

from scratchvae.data.dataset import Dataset, Split
from scratchvae.data.pixels import UNIT, to_labels, to_pixels
from scratchvae.data.split import hold_out
from scratchvae.errors import DataError

FRACTION = 0.1  # of the images is held out as test where no test split is given


def to_dataset(name, train, test, source, held_out="shuffled", seed=0, support=UNIT):
    """A Dataset from (images, labels, where) triples, `where` being what an error message calls them.

    images    (N, H, W) or (N, D): uint8, bool, or numbers within `support`;  labels  (N,) integers, names, or None
    test      None holds out a tenth of the training images, and at least one
    source    where the data come from; how they were split is added to it
    held_out  "shuffled": of every label alike, by the seed · "last": the last tenth, as runs of version 0.1.0 had it
    """
    pixels, image_shape = to_pixels(train[0], train[2], support)
    labels = to_labels(train[1], len(pixels), train[2])
    if test is None:
        if len(pixels) < 2:
            raise DataError(f"{train[2]}: one image cannot be split into training and test: give at least two")
        if held_out == "last":
            held = max(1, len(pixels) // 10)
            parts, how = np.split(np.arange(len(pixels)), [-held]), f"the last {held}"
        else:
            parts = hold_out(labels, len(pixels), FRACTION, seed)
            how = f"{len(parts[1])}{'' if labels is None else ', of every label alike,'} drawn with seed {seed}"
        whole = Split(pixels, labels)
        splits = [whole.take(rows) for rows in parts]
        said = f"no test split was given, so {how} of {len(pixels)} images are held out as test."
        note = {"held_out": {"rule": held_out, "seed": seed, "images": len(parts[1]), "of": len(pixels)}}
        return Dataset(name, image_shape, *splits, f"{source}; {said}", preparation=note)
    test_pixels, test_shape = to_pixels(test[0], test[2], support)
    if test_shape != image_shape:
        raise DataError(
            f"{test[2]}: images of {_size(test_shape)}, but the training images in {train[2]} have "
            f"{_size(image_shape)}: make them one size"
        )
    test_labels = to_labels(test[1], len(test_pixels), test[2])
    said = "split into training and test as given."
    return Dataset(name, image_shape, Split(pixels, labels), Split(test_pixels, test_labels), f"{source}; {said}")


def _size(image_shape):
    return f"{image_shape[0]} x {image_shape[1]} pixels"
