"""Joints found in images beside where they are, and the maps in which they were found, from stage to stage."""

import numpy as np

from .page import BLUE, BODY, GREY, SMALL, VERMILION, film, page, shorter, text_width
from .predictions import rgb
from .tiles import check_shape, model_input, tile_size, tiles

GAP = 6
HEAT = rgb("#f0e442")  # Okabe & Ito's yellow, which nothing else here has
KEY = ("○ where it is", BLUE), ("□ where it is, behind something", GREY), ("× found", VERMILION)
LOOKED_AT = 200  # images, among which those to show are looked for


def draw_joints(model, images, points, visible, image_shape, path, title):
    """Ten images with each joint where it is, and where the last stage finds it.

    images (N, D) · points (N, J, 2), x and y in pixels · visible (N, J)
    """
    x, rows = model_input(model, images, 10)
    check_shape(image_shape, model.data_size)
    found = model.points(x)[:, -1]
    h, w = size = tile_size(image_shape, 240, longest=4)
    columns = min(5, len(rows))
    shown, height = tiles(x, image_shape, size), h + 34
    with page(path, title, columns * (w + GAP) - GAP, 44 + -(-len(rows) // columns) * height) as sheet:
        _key(sheet, KEY)
        for i, row in enumerate(rows):
            left, top = i % columns * (w + GAP), 44 + i // columns * height
            sheet.picture(left, top, shown[i])
            _found(sheet, left, top, size, image_shape, points[row], visible[row], found[i])


def draw_film(model, images, points, visible, image_shape, path, title, count=4):
    """An animated GIF, a page for each stage: the highest of its maps over the image, on one scale, each joint where it
    is, and where it is found. Those images are shown of which the stages after the first change most, for better or
    worse."""
    x, rows = model_input(model, images, LOOKED_AT)
    maps, found = model.maps(x), model.points(x)
    change = np.linalg.norm(found[:, -1] - found[:, 0], axis=2)
    shown = np.sort(np.argsort(-np.where(visible[rows], change, 0).sum(axis=1), kind="stable")[:count])
    h, w = size = tile_size(image_shape, 240, longest=4)
    stages, picture = maps.shape[1], tiles(x[shown], image_shape, size)
    picture = 0.8 * (picture if picture.ndim == 4 else picture[..., None])
    heat = np.maximum(maps[shown].max(axis=4), 0)
    heat = tiles((heat / max(heat.max(), 1e-6)).reshape(*heat.shape[:2], -1), heat.shape[2:], size)[..., None]
    with film(path, title, len(shown) * (w + GAP) - GAP, 84 + h + 34) as turn:
        for k in range(stages):
            sheet = turn(1.2 if k < stages - 1 else 3)
            _key(sheet, KEY)
            sheet.text(0, 56, f"stage {k + 1} of {stages}", BODY, weight="bold", va="center")
            sheet.text(180, 56, "■ the highest of its maps", SMALL, color="#8f8600", weight="bold", va="center")
            for i, row in enumerate(rows[shown]):
                left = i * (w + GAP)
                sheet.picture(left, 84, picture[i] + heat[i, k] * (HEAT - picture[i]))
                _found(sheet, left, 84, size, image_shape, points[row], visible[row], found[shown[i], k])


def draw_stages(model, images, points, visible, image_shape, path, title, names, count=5):
    """A joint in each of some images: the image, the map that is wanted, and what each stage draws (of many, four),
    each map from 0 to its highest. Of the joints that the last stage finds, within a pixel of its maps, those are shown
    that the first misses most."""
    x, rows = model_input(model, images, LOOKED_AT)
    maps, found, seen = model.maps(x), model.points(x), visible[rows]
    off = np.linalg.norm(found - points[rows][:, None], axis=3)  # (n, S, J)
    gain = np.where(seen, off[:, 0] - off[:, -1] - 1e3 * (off[:, -1] > model.stride), -np.inf)
    joint = gain.argmax(axis=1)
    best = np.argsort(-gain.max(axis=1), kind="stable")[:count]
    target = model.target(points[rows].astype(model.dtype), seen, len(rows), model.dtype)
    stages = sorted({round(k) for k in np.linspace(0, maps.shape[1] - 1, 4)})
    h, w = size = tile_size(image_shape, 190, longest=4)
    words = [shorter(names[joint[i]]) for i in best]
    side, line, height = 20 + max(text_width(word, BODY, "bold") for word in words), 34, h + 36
    with page(path, title, side + (2 + len(stages)) * (w + GAP) - GAP, line + len(best) * height) as sheet:
        for c, name in enumerate(("image", "target", *(f"stage {k + 1}" for k in stages))):
            sheet.text(side + c * (w + GAP) + w / 2, line - 12, name, BODY, weight="bold", ha="center", va="baseline")
        for r, i in enumerate(best):
            j, top = joint[i], line + r * height
            sheet.text(0, top + h / 2, words[r], BODY, weight="bold", va="center")
            parts = [tiles(x[i], image_shape, size)]
            heats = target[i, :, :, j], *(maps[i, k, :, :, j] for k in stages)
            parts += [tiles((heat / max(heat.max(), 1e-6)).ravel(), heat.shape, size) for heat in heats]
            for c, part in enumerate(parts):
                left = side + c * (w + GAP)
                sheet.picture(left, top, part)
                ax = _over(sheet, left, top, size, image_shape)
                _rings(ax, points[rows[i], j][None], seen[i, j][None])
                if c > 1:
                    k = stages[c - 2]
                    ax.plot(*found[i, k, j], "x", color=VERMILION, markersize=7, markeredgewidth=2)
                    told = f"off by {off[i, k, j]:.1f} px"
                    sheet.text(left + w / 2, top + h + 14, told, SMALL, color=GREY, ha="center", va="center")


def _over(sheet, left, top, size, image_shape):
    """Axes over a tile, in the image's pixels, (0, 0) being the centre of the one at the upper left."""
    ax = sheet.axes(left, top, size[1], size[0])
    ax.set(xlim=(-0.5, image_shape[1] - 0.5), ylim=(image_shape[0] - 0.5, -0.5))
    ax.patch.set_visible(False)
    ax.set_axis_off()
    ax.set_zorder(1)  # over the picture
    return ax


def _found(sheet, left, top, size, image_shape, points, visible, found):
    """Over a tile, each joint and where it is found, and below it how far off that is."""
    ax = _over(sheet, left, top, size, image_shape)
    _rings(ax, points, visible)
    for there, at in zip(points[visible], found[visible], strict=True):
        ax.plot(*zip(there, at, strict=True), color=VERMILION, linewidth=1)
    ax.plot(*found[visible].T, "x", color=VERMILION, markersize=6, markeredgewidth=1.8)
    off = np.linalg.norm(found - points, axis=1)[visible]
    told = f"off by {np.median(off):.1f} px" if len(off) else "no joint is seen"
    sheet.text(left + size[1] / 2, top + size[0] + 14, told, SMALL, color=GREY, ha="center", va="center")


def _rings(ax, points, visible):
    for colour, sign, which in ((BLUE, "o", visible), (GREY, "s", ~visible)):
        ax.plot(*points[which].T, sign, color=colour, markersize=9, fillstyle="none", markeredgewidth=2)


def _key(sheet, words):
    at = 0
    for text, colour in words:
        sheet.text(at, 14, text, SMALL, color=colour, weight="bold", va="center")
        at += text_width(text, SMALL, "bold") + 22
