"""Where a joint is, as a picture, which a Stacked Hourglass is trained towards: given by the data, so it has no derivative."""

import numpy as np


def heat_maps(points, sigma, out, seen=None):
    """M_bhwj = exp(−((x_w − x_bj)² + (y_h − y_bj)²) / 2σ²), 1 at the joint (Tompson et al., 2014; Newell et al., 2016).

    points (B, J, 2): x and y in pixels of the maps, (0, 0) being a pixel's centre · σ in pixels → out (B, H, W, J)
    seen (B, J), if given: 0 where a joint has no map, as Newell's has none that lies outside the picture
    """
    _, H, W, _ = out.shape
    x, y = (np.exp(-((np.arange(n)[:, None] - points[:, None, :, axis]) ** 2) / (2 * sigma**2)) for axis, n in ((0, W), (1, H)))
    if seen is not None:
        y *= seen[:, None, :]
    return np.multiply(y[:, :, None, :], x[:, None, :, :], out=out, casting="same_kind")
