"""Which images are held out: a stratified, shuffled part, and a function of the labels, their number and a seed
alone."""

import numpy as np

from scratchvae import gate, rng
from scratchvae.errors import DataError, counted

TEST, VALIDATION = range(2)  # each part is drawn with words of its own


def hold_out(labels, count, fraction=0.1, seed=0, part=TEST):
    """Rows to keep and rows to hold out of `count` images → two sorted int64 arrays.

    labels  (count,) or None; of every label about the same fraction is held out
    Of n images, ⌊n · fraction⌋ are held out, and at least one. Raises DataError when there are none to keep.

    Each image stands at (rank + ½) / (images of its label), ranks being shuffled within the label; those that stand
    first are held out, and the shuffle decides between equals.
    """
    count, part = gate.whole("count", count, 0), gate.whole("part", part, 0)
    fraction = gate.number("the fraction of images to hold out", fraction, above=0, below=1)
    labels = np.zeros(count) if labels is None else gate.array(labels, "labels", text=True)
    if labels.shape != (count,):
        raise DataError(f"labels of shape {labels.shape} for {count} images: give one per image")
    held = max(1, int(count * fraction + 1e-9))  # 0.29 · 100 is a little less than 29
    if held >= count:
        raise DataError(f"{counted(count, 'image')} cannot be split in two, {held} of them held out: give more images")
    keys = rng.words(seed, rng.SPLIT, part, 0, count)[0]
    _, label, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(count)
    rank[np.lexsort((keys, label))] = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_held = np.zeros(count, bool)
    is_held[np.lexsort((keys, (rank + 0.5) / sizes[label]))[:held]] = True
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
