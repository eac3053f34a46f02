"""What generated sets draw: numbers of a seed, a part (0 training, 1 test), a use and a row, the same bits on every
machine.

They are whole numbers at heart; what is made of them takes only +, −, ×, ÷ and √, which IEEE 754 rounds alike
everywhere.
"""

import numpy as np

from scratchvae import rng

USES = 16  # of each part
NOISE = 40  # of 255
BLOCK = 1000  # images that noise is drawn for at a time


def drawn(seed, part, use, rows, columns):
    """Uniform numbers in [0, 1), a multiple of 2⁻²⁴.   rows (R,) → (R, columns)"""
    return rng.uniform(seed, rng.SETS, USES * part + use, rows, columns, np.float64)


def whole(below, *draw):
    """Whole numbers from 0 to below − 1, drawn with these arguments of `drawn`.   → (R, columns)"""
    return (below * drawn(*draw)).astype(np.int64)


def noisy(images, seed, part, rows):
    """Images and uniform noise, at most NOISE of 255, mixed.   uint8 (R, H, W) → uint8 (R, H, W)"""
    pixels, made = images[0].size, np.empty_like(images)
    for start in range(0, len(rows), BLOCK):
        at = slice(start, start + BLOCK)
        words = rng.words(seed, rng.SETS, USES * part + USES - 1, rows[at], -(-pixels // 4))
        noise = words.astype("<u4").view(np.uint8)[:, :pixels].reshape(images[at].shape)
        made[at] = (np.uint16(255 - NOISE) * images[at] + np.uint16(NOISE) * noise + 127) // 255  # below 2¹⁶
    return made
