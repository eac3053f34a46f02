"""What generated sets draw: numbers of a seed, a part (0 training, 1 test), a use and a row, the same bits on every machine.

They are whole numbers at heart; what is made of them takes only +, −, ×, ÷ and √, which IEEE 754 rounds alike everywhere.
"""

import numpy as np

from scratchvae import rng

USES = 16  # of each part
NOISE = 40  # of 255


def drawn(seed, part, use, rows, columns):
    """Uniform numbers in [0, 1), a multiple of 2⁻²⁴.   rows (R,) → (R, columns)"""
    return rng.uniform(seed, rng.SETS, USES * part + use, rows, columns, np.float64)


def whole(below, *draw):
    """Whole numbers from 0 to below − 1, drawn with these arguments of `drawn`.   → (R, columns)"""
    return (below * drawn(*draw)).astype(np.int64)


def noisy(images, seed, part, rows):
    """Images and uniform noise, at most NOISE of 255, mixed.   uint8 (R, H, W) → uint8 (R, H, W)"""
    pixels = images[0].size
    noise = rng.words(seed, rng.SETS, USES * part + USES - 1, rows, -(-pixels // 4)).astype("<u4").view(np.uint8)[:, :pixels]
    mixed = np.uint16(255 - NOISE) * images + np.uint16(NOISE) * noise.reshape(images.shape)  # below 2¹⁶
    return ((mixed + 127) // 255).astype(np.uint8)
