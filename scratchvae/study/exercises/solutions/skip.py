"""The skip of a U-Net whose convolutions are not padded: crop, lay side by side, and back (equations E77 and E78).

Shapes: x (B, H, W, C) is what the way down had, z (B, h, w, D) what came from the levels below, which is no larger. x is cropped
to its middle: of the H - h rows that are too many, half are cut above, rounded down, and the rest below; likewise columns, left
and right.
"""

import numpy as np


def skip(x, z):
    """The middle of x, then z, as channels (E77).   x (B, H, W, C), z (B, h, w, D) → Y (B, h, w, C + D)"""
    _, h, w, _ = z.shape
    top, left = (x.shape[1] - h) // 2, (x.shape[2] - w) // 2
    return np.concatenate([x[:, top : top + h, left : left + w], z], axis=3)


def skip_backward(dY, x, z):
    """The gradients that reach x and z when dY reaches Y.   dY (B, h, w, C + D) → dx (B, H, W, C), dz (B, h, w, D)"""
    _, h, w, _ = z.shape
    top, left, channels = (x.shape[1] - h) // 2, (x.shape[2] - w) // 2, x.shape[3]
    dx = np.zeros_like(x)
    dx[:, top : top + h, left : left + w] = dY[..., :channels]
    return dx, dY[..., channels:].copy()


def level_backward(dY, x, z, below_backward):
    """All that reaches x where z = below(x) is made of x too (E78).   → dX (B, H, W, C)

    below_backward(dz), dz (B, h, w, D), is given: what comes back to x through the levels below, (B, H, W, C).
    """
    dx, dz = skip_backward(dY, x=x, z=z)
    return dx + below_backward(dz)
