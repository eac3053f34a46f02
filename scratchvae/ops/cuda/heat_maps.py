"""Where a joint is, as a picture, and back: twins of ops.numpy.heat_maps."""

import numpy as np

from .check import check, whole
from .launch import C_NAMES, int32, per_element

_FILE = "heat_maps.cu"


def heat_maps(points, sigma, out, seen=None, stride=1):
    """M_bhwj = exp(−((x_w − x_bj)² + (y_h − y_bj)²) / 2σ²), 1 at the joint.

    points (B, J, 2), in pixels of an image, of which those of the maps are `stride` wide · seen (B, J), if given, True or
    whole numbers: 0 where a joint has no map → out (B, H, W, J)
    """
    B, H, W, J = out.shape
    dtype = check("heat_maps", points=(points, (B, J, 2)), out=(out, out.shape))
    kind = np.int32(1) if seen is None else whole("heat_maps", seen=(seen, (B, J)))
    numbers = dtype.type(1 / (2 * sigma**2)), dtype.type(stride), out, np.int64(out.size), *map(int32, (H, W, J))
    per_element(_FILE, f"heat_maps<{C_NAMES[dtype]}>", out.size, (points, seen, kind, *numbers))
    return out


def peaks(maps, out):
    """Where each map is highest, moved a quarter of a pixel towards the higher neighbour.

    maps (N, H, W, J) → out float64 (N, J, 2)
    """
    N, H, W, J = maps.shape
    dtype = check("peaks", maps=(maps, maps.shape))
    check("peaks", np.dtype(np.float64), out=(out, (N, J, 2)))
    int32(H * W)
    per_element(_FILE, f"peaks<{C_NAMES[dtype]}>", N * J, (maps, out, *map(int32, (N, H, W, J))))
    return out
