"""Grids of images: reconstructions, samples, and the manifold of a model with two latents."""

from statistics import NormalDist

import numpy as np

from ..errors import ConfigError
from .page import BLUE, BODY, GREY, SMALL, page, shorter, text_width
from .tiles import (
    check_shape,
    columns_for,
    finite,
    is_series,
    label_names,
    model_input,
    mosaic,
    scale_note,
    tile_size,
    tiles,
    value_range,
)  # fmt: skip

GAP = 6


def draw_reconstructions(model, images, labels, image_shape, path, title, names=None, values=None):
    """Ten inputs over their outputs: a 7, a 2, then one of each other class. Of a series (1, W): both curves in one
    panel.

    images (N, D) uint8 or floats · labels (N,) or None · names: of the labels · values: W names, of a table's columns.
    Raises DataError when there are no images.
    """
    images = np.atleast_2d(images)
    shown = label_names(labels, images, names)
    rows = chosen(np.zeros(len(images), int) if shown is None else np.asarray(labels))
    x, _ = model_input(model, images[rows], len(rows))
    check_shape(image_shape, model.data_size)
    words = [""] * len(rows) if shown is None else [shorter(str(shown[row])) for row in rows]
    pair = x, model.reconstruct(x)
    if is_series(image_shape):
        _series(*(finite(part, "the images") for part in pair), words, path, title, values)
        return
    size = h, w = tile_size(image_shape, 140, longest=4)
    columns = columns_for(len(rows), (2 * h, w), ratio=5)
    across = max([w + GAP, *(text_width(word, BODY, "bold") + 14 for word in words)])
    side, line = 96, 38
    block = line + 2 * h + GAP + 24  # a line of labels, the two tiles, and the space below
    blocks = -(-len(rows) // columns)
    parts = [tiles(pixels, image_shape, size) for pixels in pair]
    with page(path, title, side + columns * across - GAP, blocks * block - 24) as sheet:
        for i, word in enumerate(words):
            top, left = i // columns * block, side + i % columns * across
            if word:
                sheet.text(left + w / 2, top + line - 10, word, weight="bold", ha="center", va="baseline")
            for k, name in enumerate(("input", "output")):
                sheet.picture(left, top + line + k * (h + GAP), parts[k][i])
                if i % columns == 0:
                    sheet.text(0, top + line + k * (h + GAP) + h / 2, name, color=GREY, va="center")


def _series(inputs, outputs, words, path, title, values):
    """Panels in two columns, each an input as a thick line, and its output over it.   inputs, outputs (n, W)"""
    columns, left, width, height, space = min(2, len(words)), 80, 560, 120, 64
    low, high = value_range(np.concatenate([inputs, outputs]))
    marks = {"marker": "o", "markersize": 4} if inputs.shape[1] <= 50 else {}
    rows = -(-len(words) // columns)
    if values is not None:
        values = [shorter(str(value)) for value in values]
        if sum(text_width(value, SMALL) + 12 for value in values) > width:
            values = None
    with page(path, title, columns * (left + width), 56 + rows * (height + space)) as sheet:
        for x, text, colour in ((0, "— input", GREY), (110, "‐‐ output", BLUE)):
            sheet.text(x, 8, text, SMALL, color=colour, weight="bold", va="center")
        for i, word in enumerate(words):
            x, y = i % columns * (left + width) + left - 20, 60 + i // columns * (height + space)
            ax = sheet.axes(x, y, width, height)
            at = np.arange(1, inputs.shape[1] + 1)
            ax.plot(at, inputs[i], color=GREY, linewidth=2.5, alpha=0.6, **marks, clip_on=False)
            ax.plot(at, outputs[i], color=BLUE, linewidth=1.6, linestyle="--", clip_on=False)
            ax.set(xlim=(1, inputs.shape[1]), ylim=(low, high))
            if values is None:
                ax.xaxis.get_major_locator().set_params(integer=True, nbins=8)
            else:
                ax.set_xticks(at, values, parse_math=False)
            ax.yaxis.get_major_locator().set_params(nbins=3)
            ax.grid(axis="y")
            if word:
                ax.set_title(word, fontsize=SMALL, fontweight="bold", loc="left", parse_math=False)
            if values is None and i >= len(words) - columns:
                ax.set_xlabel("number of the value", fontsize=SMALL)


def chosen(labels, n=10):
    """Rows of the first 7, the first 2 and the first of each other class, then the first of the rest: n rows at
    most."""
    classes, first = np.unique(np.asarray(labels), return_index=True)
    order = sorted(range(len(classes)), key=lambda k: (classes[k] != 7, classes[k] != 2, k))
    rows = [int(first[k]) for k in order][:n]
    rest = [i for i in range(min(len(labels), 2 * n)) if i not in rows]
    return rows + rest[: n - len(rows)]


def draw_samples(model, image_shape, path, title, n=100, seed=0, draw=False):
    """The mean images of n draws z ~ N(0, I), or images drawn from there, in a square of tiles."""
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ConfigError(f"the number of samples must be a whole number of at least 1, not {n!r}")
    size = tile_size(image_shape, 112)
    columns = columns_for(n, size, ratio=2 if is_series(image_shape) else 1)
    images = model.sample(n, seed, draw)
    grid = mosaic(tiles(images, image_shape, size), columns, GAP)
    title += scale_note(images, image_shape)
    with page(path, title, grid.shape[1], grid.shape[0]) as sheet:
        sheet.picture(0, 0, grid)


def draw_manifold(model, image_shape, path, title, n=20):
    """The images decoded from an n x n grid of z = Φ⁻¹((i + ½) / n) (E37), z₁ to the right and z₂ upwards.

    Φ is the distribution function of N(0, 1), so every cell holds the same share 1/n² of the prior. The axes are linear
    in Φ, their ticks show z. Raises ConfigError unless the model has two latents.
    """
    if model.latent != 2:
        raise ConfigError(f"a manifold needs 2 latents, and this model has {model.latent}: draw its traversal instead")
    normal = NormalDist()
    z = np.array([normal.inv_cdf((i + 0.5) / n) for i in range(n)], model.dtype)
    right, up = np.meshgrid(z, z[::-1])
    images = model.decode(np.stack([right.ravel(), up.ravel()], axis=1))
    grid = mosaic(tiles(images, image_shape, tile_size(image_shape, 1120 / n, longest=2)), n, 0)
    title += scale_note(images, image_shape)
    height, width = grid.shape[:2]
    side, below = 90, 84
    with page(path, title, side + width, height + below) as sheet:
        sheet.picture(side, 0, grid)
        ax = sheet.axes(side, 0, width, height)  # from 0 to 1: Φ(z)
        ax.patch.set_visible(False)
        ticks = [-1.5, -1, -0.5, 0, 0.5, 1, 1.5]
        places = [normal.cdf(tick) for tick in ticks]
        names = [f"{tick:g}".replace("-", "−") for tick in ticks]
        ax.set_xticks(places, names)
        ax.set_yticks(places, names)
        ax.spines[:].set_visible(False)
        ax.set_xlabel("z₁")
        ax.set_ylabel("z₂", rotation=0, va="center", labelpad=6)
        ax.tick_params(labelsize=SMALL)
