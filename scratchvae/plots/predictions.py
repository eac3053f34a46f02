"""What models make of images, pixel by pixel, beside what was wanted: classes in colours, or clean images."""

import numpy as np

from .latent import COLOURS
from .page import BODY, GREY, SMALL, page, shorter, text_width
from .tiles import check_shape, model_input, tile_size, tiles

GAP, COLUMNS = 6, 8
GROUND = np.full(3, 0.94)  # class 0
ONCE = 1 + len(COLOURS)  # classes with a colour of their own


def draw_predictions(models, images, targets, image_shape, path, title, names=None):
    """Eight images, under each its target and what every model makes of it.

    models {what its row is called: a U-Net}, all of one task · images (N, D) · targets (N, H, W) classes, or clean
    images (N, *image_shape) names: of the classes, for a key.
    """
    first = next(iter(models.values()))
    x, rows = model_input(first, images, COLUMNS)
    check_shape(image_shape, first.data_size)
    targets = np.asarray(targets)[rows]
    segment, size = first.task == "segment", tile_size(image_shape, 140, longest=4)
    if segment:
        draw = lambda classes: tiles(in_colours(classes).reshape(len(rows), -1), (*image_shape[:2], 3), size)
    else:
        targets = targets / 255 if targets.dtype == np.uint8 else targets
        draw = lambda pixels: tiles(np.clip(pixels, 0, 1).reshape(len(rows), -1), image_shape, size)
    shown = {"input": tiles(x, image_shape, size), "target": draw(targets)}
    shown |= {name: draw(model.predict(x)) for name, model in models.items()}
    (h, w), side = size, 20 + max(text_width(name, BODY) for name in shown)
    width, height = max(760, side + len(rows) * (w + GAP)) - GAP, len(shown) * (h + GAP)
    key = _key(names[:ONCE], width) if segment and names else []
    with page(path, title, width, height + (18 + 34 * (1 + key[-1][0][1]) if key else 0)) as sheet:
        for r, (name, parts) in enumerate(shown.items()):
            sheet.text(0, r * (h + GAP) + h / 2, name, color=GREY, va="center")
            for c, part in enumerate(parts):
                sheet.picture(side + c * (w + GAP), r * (h + GAP), part)
        for (left, line), colour, name in key:
            top = height + 18 + 34 * line
            sheet.picture(left, top, np.tile(colour, (18, 18, 1)))
            sheet.text(left + 26, top + 9, name, SMALL, va="center")


def in_colours(classes):
    """Class 0 light grey, then a colour for each of ten, and again.   whole numbers (…) → (…, 3)"""
    return np.stack([GROUND, *map(rgb, COLOURS)])[
        np.where(classes > 0, 1 + (np.asarray(classes, np.int64) - 1) % len(COLOURS), 0)
    ]


def rgb(colour):
    """ "#rrggbb" → three numbers in [0, 1]"""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _key(names, width):
    """[((left, line), colour, name)] within this width"""
    placed, left, line = [], 0, 0
    for k, name in enumerate(map(shorter, names)):
        wide = 26 + text_width(name, SMALL)
        if left and left + wide > width:
            left, line = 0, line + 1
        placed.append(((left, line), in_colours(np.array(k)), name))
        left += wide + 28
    return placed
