"""Pictures to clean and to segment, made of digits: one on clutter, and several that overlap."""

import numpy as np

from scratchvae.data.dataset import Split
from scratchvae.data.noise import drawn, noisy, whole

SIZE = 40  # pixels to a side of a picture
SIDE, MARGIN = 28, 4  # of a digit's image, and of what is black at each of its edges
FRAGMENTS, PATCH = 8, 7  # how many pieces of other digits, and pixels to a side of one
MOST = 3  # digits in one picture
INK = 128  # from here on a pixel of a digit is ink


def clutter(digits, count, seed, part):
    """One digit on fragments of others and noise, after Mnih et al. (2014, "cluttered translated MNIST").

    digits  the Split of MNIST to take them from, in turn · part: 0 for training, 1 for test
    → a Split of images (count, 40²) with the digits' labels, and two fields, uint8 (count, 40, 40)
    clean     the digit alone, on black
    segments  0 for the ground, and digit + 1 where the digit is at least half white
    """
    rows, sources = np.arange(count), digits.images.reshape(-1, SIDE, SIDE)
    chosen = rows % len(sources)
    labels, clean = digits.labels[chosen], np.zeros((count, SIZE, SIZE), np.uint8)
    clean[_windows(whole(SIZE - SIDE + 1, seed, part, 0, rows, 2), SIDE)] = sources[chosen]
    images = clean.copy()
    others = whole(len(sources), seed, part, 1, rows, FRAGMENTS)
    cut = MARGIN + whole(SIDE - 2 * MARGIN - PATCH + 1, seed, part, 2, rows, 2 * FRAGMENTS)
    put = whole(SIZE - PATCH + 1, seed, part, 3, rows, 2 * FRAGMENTS)
    for k in range(FRAGMENTS):
        _, *window = _windows(cut[:, 2 * k : 2 * k + 2], PATCH)
        place = _windows(put[:, 2 * k : 2 * k + 2], PATCH)
        images[place] = np.maximum(images[place], sources[others[:, k, None, None], *window])
    segments = np.where(clean >= INK, labels[:, None, None] + np.uint8(1), np.uint8(0))
    return Split(noisy(images, seed, part, rows), labels, clean=clean, segments=segments)


def overlap(digits, count, seed, part):
    """Two or three digits, one over another, each of a brightness of its own, with noise; arguments as for `clutter`.

    → a Split of images (count, 40²) and two fields, uint8 (count, 40, 40)
    clean     the picture without noise
    segments  0 for the ground, and digit + 1 where a digit is at least half white: where several are, that of the one
              in front
    """
    rows = np.arange(count)
    chosen, several = (
        whole(len(digits.images), seed, part, 0, rows, MOST),
        2 + whole(MOST - 1, seed, part, 1, rows, 1)[:, 0],
    )
    corners = whole(SIZE - SIDE + 2 * MARGIN + 1, seed, part, 2, rows, 2 * MOST)
    ranks = np.argsort(drawn(seed, part, 3, rows, MOST), axis=1, kind="stable")  # no two are of one brightness
    shades = (110 + 60 * ranks + whole(25, seed, part, 4, rows, MOST)).astype(np.uint16)
    clean, segments = np.zeros((2, count, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN), np.uint8)
    for k in range(MOST):
        there = np.flatnonzero(k < several)
        digit = digits.images[chosen[there, k]].reshape(-1, SIDE, SIDE).astype(np.uint16)
        _, *window = _windows(corners[there, 2 * k : 2 * k + 2], SIDE)
        place = (there[:, None, None], *window)
        clean[place] = (digit * shades[there, k, None, None] + (255 - digit) * clean[place] + 127) // 255  # below 2¹⁶
        segments[place] = np.where(
            digit >= INK, digits.labels[chosen[there, k], None, None] + np.uint8(1), segments[place]
        )
    clean, segments = (np.ascontiguousarray(a[:, MARGIN:-MARGIN, MARGIN:-MARGIN]) for a in (clean, segments))
    return Split(noisy(clean, seed, part, rows), clean=clean, segments=segments)


def _windows(corners, side):
    """What indexes a square of each of N pictures.   corners (N, 2) as (y, x) → three arrays that broadcast to (N,
    side, side)"""
    span = corners[..., None] + np.arange(side)
    return np.arange(len(corners))[:, None, None], span[:, 0, :, None], span[:, 1, None, :]
