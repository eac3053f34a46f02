"""Where a joint is, as a picture, which a Stacked Hourglass is trained towards: given by the data, so it has no derivative."""

import numpy as np


def heat_maps(points, sigma, out, seen=None, stride=1):
    """M_bhwj = exp(−((x_w − x_bj)² + (y_h − y_bj)²) / 2σ²), 1 at the joint (E83; Tompson et al., 2014).

    points (B, J, 2): x and y in pixels of an image, (0, 0) being a pixel's centre; a pixel of the maps is `stride` of them wide and high,
    and σ counts those of the maps → out (B, H, W, J)
    seen (B, J), if given: 0 where a joint has no map, as Newell's has none that lies outside the picture
    """
    _, H, W, _ = out.shape
    if stride != 1:
        points = (points + 0.5) / stride - 0.5
    x, y = (np.exp(-((np.arange(n)[:, None] - points[:, None, :, axis]) ** 2) / (2 * sigma**2)) for axis, n in ((0, W), (1, H)))
    if seen is not None:
        y *= seen[:, None, :]
    return np.multiply(y[:, :, None, :], x[:, None, :, :], out=out, casting="same_kind")


def peaks(maps, out):
    """Where each map is highest, moved a quarter of a pixel towards the higher neighbour on each axis (E84).

    maps (N, H, W, J) → out float64 (N, J, 2), x and y in pixels of the maps
    """
    N, H, W, J = maps.shape
    y, x = np.divmod(maps.reshape(N, H * W, J).argmax(axis=1), W)
    n, j = np.arange(N)[:, None], np.arange(J)
    out[..., 0], out[..., 1] = x, y
    for axis, (at, size, there) in enumerate(((x, W, lambda i: maps[n, y, i, j]), (y, H, lambda i: maps[n, i, x, j]))):
        rise = there(np.minimum(at + 1, size - 1)) - there(np.maximum(at - 1, 0))
        out[..., axis] += 0.25 * np.sign(rise) * ((at > 0) & (at < size - 1))
    return out
