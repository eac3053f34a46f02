"""Images as tiles: their size on the page, their number per row, and one array of pixels for all of them."""

from math import ceil, log, prod

import numpy as np

from ..errors import DataError, NonFiniteError, ShapeError


def model_input(model, images, limit):
    """At most `limit` images, evenly spread over the set, as the model takes them.   (N, D) → (n, D) in [0, 1], rows (n,)"""
    images = np.atleast_2d(images)
    if not len(images):
        raise DataError("there are no images to draw")
    rows = np.linspace(0, len(images) - 1, min(len(images), limit)).round().astype(int)
    images = images[rows]
    if np.issubdtype(images.dtype, np.integer):
        return np.divide(images, 255, dtype=model.dtype), rows
    return images.astype(model.dtype), rows


def finite(values, what):
    """The values themselves. Raises NonFiniteError when one is NaN or infinite."""
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{what} hold NaN or infinity and cannot be drawn: take a checkpoint from before training failed")
    return values


def tiles(images, image_shape, size):
    """Images at their size on the page: each pixel of the page is the mean over the area it covers.

    images (..., D) · image_shape (H, W) · size (h, w) → (..., h, w)
    """
    if images.shape[-1] != prod(image_shape):
        raise ShapeError(f"images of {images.shape[-1]:,} pixels do not have the shape {tuple(image_shape)}")
    images = finite(images, "the images").reshape(*images.shape[:-1], *image_shape)
    down, across = (_overlap(n, m) for n, m in zip(image_shape, size, strict=True))
    if image_shape[1] >= image_shape[0]:  # the longer side first: it shrinks more
        return down @ (images @ across.T)
    return down @ images @ across.T


def tile_size(image_shape, side, longest=8):
    """Pixels on the page for one image, about side² in all: whole multiples of its own where there is room.   → (h, w)

    A tile is at most `longest` times as wide as it is high, or as high as it is wide: a longer image is stretched.
    """
    ratio = min(max(image_shape[1] / image_shape[0], 1 / longest), longest)
    room = side / ratio**0.5, side * ratio**0.5
    return tuple(n * int(m / n + 1e-6) if m >= n else max(1, round(m)) for n, m in zip(image_shape, room, strict=True))


def columns_for(n, size, ratio=1.0):
    """How many of n tiles stand in a row, so that the grid has about this ratio of width to height and no odd last row."""
    h, w = size
    return min(range(1, n + 1), key=lambda c: abs(log(c * w / (ceil(n / c) * h * ratio))) + (n % c > 0))


def mosaic(images, columns, gap):
    """One array for all tiles, row by row, NaN between them.   images (N, h, w) → (rows (h + gap) − gap, …)"""
    n, h, w = images.shape
    rows = ceil(n / columns)
    grid = np.full((rows * columns, h + gap, w + gap), np.nan)
    grid[:n, :h, :w] = images
    grid = grid.reshape(rows, columns, h + gap, w + gap).swapaxes(1, 2).reshape(rows * (h + gap), columns * (w + gap))
    return grid[: rows * (h + gap) - gap, : columns * (w + gap) - gap]


def _overlap(n, m):
    """Share of each of m equal intervals that each of n equal intervals covers.   → (m, n), rows sum to 1"""
    start_m, start_n = np.arange(m)[:, None] / m, np.arange(n) / n
    return np.maximum(np.minimum(start_m + 1 / m, start_n + 1 / n) - np.maximum(start_m, start_n), 0) * m
