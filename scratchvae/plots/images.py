"""Grids of images: reconstructions, samples, and the manifold of a model with two latents."""

from statistics import NormalDist

import numpy as np

from ..errors import ConfigError
from .page import GREY, SMALL, page
from .tiles import columns_for, model_input, mosaic, tile_size, tiles

GAP = 6


def draw_reconstructions(model, images, labels, image_shape, path, title):
    """Ten inputs over their outputs: a 7, a 2, then one of each other class.

    images (N, D) uint8 or floats in [0, 1] · labels (N,) or None. Raises DataError when there are no images.
    """
    images = np.atleast_2d(images)
    rows = chosen(labels if labels is not None else np.zeros(len(images), int))
    x, _ = model_input(model, images[rows], len(rows))
    size = h, w = tile_size(image_shape, 140, longest=4)
    columns = columns_for(len(rows), (2 * h, w), ratio=5)
    names, side, line = ("input", "output"), 96, 38
    block = line + 2 * h + GAP + 24  # a line of labels, the two tiles, and the space below
    blocks = -(-len(rows) // columns)
    shown = [tiles(pixels, image_shape, size) for pixels in (x, model.reconstruct(x))]
    with page(path, title, side + columns * (w + GAP) - GAP, blocks * block - 24) as sheet:
        for i, row in enumerate(rows):
            top, left = i // columns * block, side + i % columns * (w + GAP)
            if labels is not None:
                sheet.text(left + w / 2, top + line - 10, str(labels[row]), weight="bold", ha="center", va="baseline")
            for k, part in enumerate(shown):
                sheet.picture(left, top + line + k * (h + GAP), part[i])
                if i % columns == 0:
                    sheet.text(0, top + line + k * (h + GAP) + h / 2, names[k], color=GREY, va="center")


def chosen(labels, n=10):
    """Rows of the first 7, the first 2 and the first of each other class, then the first of the rest: n rows at most."""
    classes, first = np.unique(np.asarray(labels), return_index=True)
    order = sorted(range(len(classes)), key=lambda k: (classes[k] != 7, classes[k] != 2, k))
    rows = [int(first[k]) for k in order][:n]
    rest = [i for i in range(min(len(labels), 2 * n)) if i not in rows]
    return rows + rest[: n - len(rows)]


def draw_samples(model, image_shape, path, title, n=100, seed=0):
    """The mean images of n draws z ~ N(0, I), in a square of tiles."""
    size = tile_size(image_shape, 112)
    columns = columns_for(n, size)
    grid = mosaic(tiles(model.sample(n, seed), image_shape, size), columns, GAP)
    with page(path, title, grid.shape[1], grid.shape[0]) as sheet:
        sheet.picture(0, 0, grid)


def draw_manifold(model, image_shape, path, title, n=20):
    """The images decoded from an n x n grid of z = Φ⁻¹((i + ½) / n) (E37), z₁ to the right and z₂ upwards.

    Φ is the distribution function of N(0, 1), so every cell holds the same share 1/n² of the prior. The axes are linear in Φ,
    their ticks show z. Raises ConfigError unless the model has two latents.
    """
    if model.latent != 2:
        raise ConfigError(f"a manifold needs 2 latents, and this model has {model.latent}: draw its traversal instead")
    normal = NormalDist()
    z = np.array([normal.inv_cdf((i + 0.5) / n) for i in range(n)], model.dtype)
    right, up = np.meshgrid(z, z[::-1])
    images = model.decode(np.stack([right.ravel(), up.ravel()], axis=1))
    grid = mosaic(tiles(images, image_shape, tile_size(image_shape, 1120 / n, longest=2)), n, 0)
    height, width = grid.shape
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
