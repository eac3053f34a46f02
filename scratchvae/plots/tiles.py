"""Images as tiles: their size on the page, their number per row, and one array of pixels for all of them."""

from math import ceil, floor, log, prod

import numpy as np

from ..errors import DataError, NonFiniteError, ShapeError


def model_input(model, images, limit):
    """At most `limit` images, evenly spread over the set, as the model takes them.
    (N, D) → (n, D) in [0, 1], rows (n,)

    Raises DataError when there are none, ShapeError for another number of pixels than the model's, NonFiniteError.
    """
    images = np.atleast_2d(images)
    if images.ndim != 2 or images.shape[1] != model.data_size or images.dtype.kind not in "uif":
        raise ShapeError(
            f"the figures of this model take images of {model.data_size:,} numbers each, (N, {model.data_size}), "
            f"not {images.shape} {images.dtype}: reshape each image to one row"
        )
    if not len(images):
        raise DataError("there are no images to draw")
    rows = np.linspace(0, len(images) - 1, min(len(images), limit)).round().astype(int)
    images = images[rows]
    if images.dtype.kind in "ui":
        return np.divide(images, 255, dtype=model.dtype), rows
    return finite(images.astype(model.dtype), "the images"), rows


def label_names(labels, images, names=None):
    """What each image is called: its label as text, or the name that stands for it.
    labels (N,) or None → (N,) or None

    names: a list (of label 0, 1, …) or a dict; a label without one keeps its own. Raises DataError when there is not
    one label for each image.
    """
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.shape != (len(images),):
        raise DataError(
            f"{len(images)} images need labels of shape ({len(images)},), not {labels.shape}: one for each, or None"
        )
    if names is None and labels.dtype != object:
        return labels
    known = names if isinstance(names, dict) else dict(enumerate(names or []))
    return np.array([str(known.get(label, label)) for label in labels.tolist()])


def finite(values, what):
    """The values themselves. Raises NonFiniteError when one is NaN or infinite."""
    if not np.isfinite(values).all():
        raise NonFiniteError(
            f"{what} hold NaN or infinity and cannot be drawn: take a checkpoint from before training failed"
        )
    return values


def is_series(image_shape):
    """A table's row or a time series: (1, W), of one channel and more than one value. It is drawn as a curve."""
    return len(image_shape) == 2 and image_shape[0] == 1 < image_shape[1]


def check_shape(image_shape, pixels):
    """Raises ShapeError unless image_shape is (H, W) or (H, W, 3) and has that many numbers."""
    fits = len(image_shape) in (2, 3) and all(isinstance(n, (int, np.integer)) and n > 0 for n in image_shape)
    if not fits or (*image_shape, 3)[2] != 3:
        raise ShapeError(f"an image's shape is (height, width), or (height, width, 3) in colour, not {image_shape!r}")
    if pixels != prod(image_shape):
        raise ShapeError(f"images of {pixels:,} pixels do not have the shape {tuple(image_shape)}")


def tiles(images, image_shape, size):
    """Images at their size on the page: each pixel of the page is the mean over the area it covers. A series becomes a
    curve.

    images (..., D) · image_shape (H, W) grey or (H, W, 3) colour · size (h, w) → (..., h, w) or (..., h, w, 3)
    """
    check_shape(image_shape, images.shape[-1])
    images = finite(images, "the images")
    if is_series(image_shape):
        return curves(images, size)
    H, W, *channels = image_shape
    # (..., C, H, W)
    images = np.moveaxis(images.reshape(*images.shape[:-1], H, W, *channels, *[1] * (not channels)), -1, -3)
    down, across = (_overlap(n, m) for n, m in zip((H, W), size, strict=True))
    # the longer side first: it shrinks more
    images = down @ (images @ across.T) if W >= H else down @ images @ across.T
    return np.moveaxis(images, -3, -1) if channels else images[..., 0, :, :]


def value_range(series):
    """The values from the lower to the upper edge of a tile: 0 and 1, or the whole numbers around all there are."""
    low, high = float(series.min()), float(series.max())
    return min(0, floor(low + 1e-3)), max(1, ceil(high - 1e-3))


def curves(series, size):
    """Each series as a dark curve on a light tile, from its first value on the left to its last on the right, on one
    scale for all.

    series (..., W) · size (h, w) → (..., h, w)
    """
    h, w = size
    low, high = value_range(series)
    line, border = max(1.6, h / 40), max(2, h / 12)  # pixels
    dense = np.linspace(0, series.shape[-1] - 1, w * max(4, -(-series.shape[-1] // w)))
    left = np.minimum(dense.astype(int), series.shape[-1] - 2)
    values = series[..., left] + (dense - left) * (series[..., left + 1] - series[..., left])
    depth = border + (high - values) / (high - low) * (h - 2 * border)  # in pixels from the upper edge
    depth = depth.reshape(*series.shape[:-1], 1, w, -1)
    top, bottom, y = depth.min(axis=-1) - line / 2, depth.max(axis=-1) + line / 2, np.arange(h)[:, None]
    return 0.94 - 0.84 * np.clip(np.minimum(bottom, y + 1) - np.maximum(top, y), 0, 1)


def scale_note(images, image_shape):
    """What a reader of curves must know, for a title: the range of values; nothing for images."""
    if not is_series(image_shape):
        return ""
    low, high = value_range(finite(images, "the images"))
    return f"; a curve's tile reaches from {low} to {high}".replace("-", "−")


def tile_size(image_shape, side, longest=8):
    """Pixels on the page for one image, about side² in all: whole multiples of its own where there is room.   → (h, w)

    A tile is at most `longest` times as wide as it is high, or as high as it is wide: a longer image is stretched. A
    series has no height of its own: its tile is half as high as wide.
    """
    if is_series(image_shape):
        return round(side / 2**0.5), round(side * 2**0.5)
    H, W = image_shape[:2]
    ratio = min(max(W / H, 1 / longest), longest)
    room = side / ratio**0.5, side * ratio**0.5
    return tuple(n * int(m / n + 1e-6) if m >= n else max(1, round(m)) for n, m in zip((H, W), room, strict=True))


def columns_for(n, size, ratio=1.0):
    """How many of n tiles stand in a row, so that the grid has about this ratio of width to height and no odd last
    row."""
    h, w = size
    return min(range(1, n + 1), key=lambda c: abs(log(c * w / (ceil(n / c) * h * ratio))) + (n % c > 0))


def mosaic(images, columns, gap):
    """One array for all tiles, row by row, NaN between them.
    images (N, h, w) or (N, h, w, 3) → (rows (h + gap) − gap, …)"""
    n, h, w, *channels = images.shape
    rows = ceil(n / columns)
    grid = np.full((rows * columns, h + gap, w + gap, *channels), np.nan)
    grid[:n, :h, :w] = images
    grid = grid.reshape(rows, columns, h + gap, w + gap, *channels).swapaxes(1, 2)
    return grid.reshape(rows * (h + gap), columns * (w + gap), *channels)[
        : rows * (h + gap) - gap, : columns * (w + gap) - gap
    ]


def _overlap(n, m):
    """Share of each of m equal intervals that each of n equal intervals covers.   → (m, n), rows sum to 1"""
    start_m, start_n = np.arange(m)[:, None] / m, np.arange(n) / n
    return np.maximum(np.minimum(start_m + 1 / m, start_n + 1 / n) - np.maximum(start_m, start_n), 0) * m
