"""From arrays to a Dataset: the gate for each, and the split."""

import numpy as np

from scratchvae import gate
from scratchvae.data.dataset import Dataset, Split
from scratchvae.data.pixels import UNIT, to_field, to_labels, to_pixels
from scratchvae.data.split import hold_out
from scratchvae.errors import DataError

FRACTION = 0.1  # of the images is held out as test where no test split is given


def to_dataset(name, parts, source, options, note=None, support=UNIT, fields=None, split=None):
    """A Dataset from {"train": (images, labels, where)} and, if they are given, "test" and "validation".

    images   (N, H, W), (N, H, W, 3) or (N, D): uint8, bool, or numbers within `support`;  labels  (N,) or None
    where    what an error message calls them
    source   where the data come from; how they were split is added to it
    options  of them held_out and seed, where there is no test split
    note     what was done so far, for `Dataset.preparation`
    fields   {"train": {name: array}, …}: the fields beside images and labels
    split    what `held_out` said, if it was asked before, of the training images as they lie now
    """
    splits, shapes = {}, {}
    for part, (images, labels, where) in parts.items():
        pixels, shapes[part] = to_pixels(images, where, gate.REAL if "scaling" in (note or {}) else support)
        others = {name: to_field(name, of, len(pixels), where) for name, of in (fields or {}).get(part, {}).items()}
        splits[part] = Split(pixels, to_labels(labels, len(pixels), where), **others)
        if shapes[part] != shapes["train"]:
            raise DataError(
                f"{where}: images of {_size(shapes[part])}, but the training images in {parts['train'][2]} have "
                f"{_size(shapes['train'])}: make them one size"
            )
    more, said = {}, "split into training and test as given."
    if "test" not in splits:
        train = splits["train"]
        rows, more, said = split or held_out(train.labels, len(train.images), parts["train"][2], options)
        splits |= {part: train.take(of) for part, of in rows.items()}
    return Dataset(name, shapes["train"], source=f"{source}; {said}", preparation={**(note or {}), **more}, **splits)


def held_out(labels, count, where, options):
    """→ {"train": rows, "test": rows}, what to note of it, and a sentence. Raises DataError when there are too few."""
    if count < 2:
        raise DataError(f"{where}: one image cannot be split into training and test: give at least two")
    if options.held_out == "last":
        held = max(1, count // 10)
        rows, how = np.split(np.arange(count), [-held]), f"the last {held}"
    else:
        rows = hold_out(labels, count, FRACTION, options.seed)
        alike = labels is not None and len(rows[1]) >= len(np.unique(labels))  # fewer cannot be
        how = f"{len(rows[1])}{', of every label alike,' * alike} drawn with seed {options.seed}"
    note = {"held_out": {"rule": options.held_out, "seed": options.seed, "images": len(rows[1]), "of": count}}
    said = f"no test split was given, so {how} of {count} images are held out as test."
    return dict(zip(("train", "test"), rows, strict=True)), note, said


def _size(image_shape):
    return " x ".join(map(str, image_shape)) + " pixels"
