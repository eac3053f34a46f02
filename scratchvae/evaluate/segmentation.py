"""How well classes are given to pixels, class by class."""

import numpy as np

from .. import gate
from ..errors import ConfigError, DataError


def confusion(predicted, truth, classes):
    """How many pixels of class i (row) were called j (column).   → int64 (classes, classes)

    predicted, truth  whole numbers from 0 to classes − 1, of one shape. Raises DataError for anything else.
    """
    classes = gate.whole("classes", classes, most=10_000)
    predicted, truth = gate.array(predicted, "predicted"), gate.array(truth, "truth")
    if predicted.shape != truth.shape:
        raise DataError(f"predicted classes of shape {predicted.shape} for a truth of {truth.shape}: give one for every pixel")
    for name, values in (("predicted", predicted), ("truth", truth)):
        if values.dtype.kind not in "biu" or (values.size and not 0 <= values.min() <= values.max() < classes):
            raise DataError(f"{name}: must be classes, whole numbers from 0 to {classes - 1}, not {gate.shown(values)}")
    pairs = truth.astype(np.int64).ravel() * classes + predicted.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def dice(counts):
    """2 |P ∩ T| / (|P| + |T|) of each class (E79; Dice, 1945), P being the pixels called it and T those that are.   → (classes,)

    counts: of `confusion`. Pixels of all images count together, not each image for itself. NaN for a class that is neither there
    nor called, 0 for one that is only one of the two.
    """
    both, called, there = _sets(counts)
    return _ratio(2 * both, called + there)


def iou(counts):
    """|P ∩ T| / |P ∪ T| of each class (E80; Jaccard, 1912; Everingham et al., 2010): d / (2 − d) for a Dice of d. Otherwise as `dice`."""
    both, called, there = _sets(counts)
    return _ratio(both, called + there - both)


def _sets(counts):
    counts = gate.array(counts, "counts")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "iu":
        raise ConfigError(f"counts must be what confusion returns, not {gate.shown(counts)}")
    return np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)


def _ratio(part, whole):
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
