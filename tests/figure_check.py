"""What is wrong with a drawn figure, in words: the eyes of the tests. `faults(figure)` works on any Matplotlib Figure.

It draws the figure once and then looks, through the extents of what was drawn, for

- a mark (line, points, area, badge) outside its axes: drawn there because it is not clipped, or hidden there while no text in the
  axes says so with an arrow (↑ ↓ ← →);
- text that lies on other text, on a picture, on the axes of another panel, or on a curve;
- text or a picture that the page's edge cuts;
- two colours of one panel that some reader cannot tell apart though nothing else separates them: with protanopia, deuteranopia or
  tritanopia, or on paper printed in grey.
"""

from contextlib import contextmanager
from itertools import combinations
from unittest.mock import patch

import numpy as np
from matplotlib.collections import Collection, PathCollection, PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

# Machado, Oliveira & Fernandes (2009), "A Physiologically-based Model for Simulation of Color Vision Deficiency", table of severity
# 1.0. They act on linear RGB.
READERS = {
    "full colour vision": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "grey print": [[0.2126, 0.7152, 0.0722]] * 3,  # the luminance of sRGB
}
# CIELAB distances (1976). 2.3 is the least that is seen when two areas touch (Mahy et al., 1994); marks that stand apart and are small
# need several times as much.
APART = 10.0
ARROWS = "↑↓←→"


def faults(figure, texts=None):
    """Draw the figure, and return what is wrong with it: a list of sentences, empty when all is well.

    texts: what `remembered` holds for a figure that was drawn already, which spares the second drawing.
    """
    if texts is None:
        with remembered() as drawn:
            figure.canvas.draw()
        texts = drawn.get(figure, {})
    texts = list(texts.items())
    found = [fault for ax in figure.axes for fault in [*_outside(ax), *_alike(ax)]]
    return found + _cut(figure, texts) + _on_one_another(figure, texts)


@contextmanager
def remembered():
    """{figure: {Text: its box in pixels}} of every text that is drawn while this is open, hidden ticks left out."""
    figures, draw = {}, Text.draw

    def remember(self, renderer):
        draw(self, renderer)
        if self.get_visible() and self.get_text().strip():
            box = Text.get_window_extent(self, renderer)  # of the letters alone: no arrow, no badge
            figures.setdefault(self.get_figure(), {})[self] = box

    with patch.object(Text, "draw", remember):
        yield figures


# Marks ----------------------------------------------------------------------------------------------------------------


def marks(ax):
    """The artists of one panel that show data: not its frame, grid, texts or legend."""
    kinds = (Line2D, Collection, Patch)
    frame = {ax.patch, *ax.spines.values()}
    return [a for a in ax.get_children() if isinstance(a, kinds) and a not in frame and a.get_visible()]


def points(mark):
    """Where a mark stands, in pixels: the corners of its line or outline, NaN where a line is interrupted.   → (n, 2)"""
    if isinstance(mark, Line2D):
        return mark.get_transform().transform(np.ma.filled(mark.get_xydata().astype(float), np.nan))
    if isinstance(mark, Patch):
        return mark.get_transform().transform_path(mark.get_path()).vertices
    if isinstance(mark, PathCollection):  # of `scatter`
        return mark.get_offset_transform().transform(np.ma.filled(mark.get_offsets(), np.nan))
    return np.concatenate([mark.get_transform().transform_path(path).vertices for path in mark.get_paths()] or [np.empty((0, 2))])


def _outside(ax):
    """Marks whose points lie outside their axes, and badges of which a part does."""
    box, found = ax.bbox.padded(0.5), []
    said = "".join(text.get_text() for text in ax.texts if text.get_visible())
    for mark in marks(ax):
        xy = points(mark)
        xy = xy[np.isfinite(xy).all(axis=1)]
        for arrow, lost in zip(ARROWS, (xy[:, 1] > box.y1, xy[:, 1] < box.y0, xy[:, 0] < box.x0, xy[:, 0] > box.x1), strict=True):
            if lost.any() and not mark.get_clip_on():
                found.append(f"{_name(mark)}: {lost.sum()} of its {len(xy)} points are drawn outside its axes ({arrow})")
            elif lost.any() and arrow not in said:
                found.append(f"{_name(mark)}: {lost.sum()} of its {len(xy)} points are hidden outside its axes and no {arrow} says so")
    for text in ax.texts:
        badge = text.get_bbox_patch()
        if badge is not None and text.get_visible():
            frame = badge.get_window_extent()
            if not _within(frame, box):
                found.append(f"the badge {text.get_text()!r} sticks out of its axes")
        elif text.get_transform() is ax.transData and not _within(text.get_window_extent(), box):
            found.append(f"the label {text.get_text()!r} sticks out of its axes")
    return found


def _within(inner, outer):
    return inner.x0 >= outer.x0 and inner.y0 >= outer.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1


def _name(mark):
    label = str(mark.get_label())
    return f"{type(mark).__name__} {label!r}" if label and not label.startswith("_") else type(mark).__name__


# Text -----------------------------------------------------------------------------------------------------------------


def _cut(figure, texts):
    page = figure.bbox
    boxes = [(f"the text {text.get_text()!r}", box) for text, box in texts]
    boxes += [("a picture", _picture(image)) for image in figure.images]
    boxes += [("a frame", artist.get_window_extent()) for artist in figure.artists]
    return [f"{what} is cut by the page's edge" for what, box in boxes if not _within(box, page)]


def _picture(image):
    """The box of what `figimage` put on the page."""
    height, width = image.get_size()
    return Bbox.from_bounds(image.ox, image.oy, width, height)


def _on_one_another(figure, texts):
    """Text on text, on a picture, on another panel, or on a curve."""
    found = []
    letters = [(text, box.shrunk(0.9, 0.8)) for text, box in texts]  # a box holds the empty room around the letters
    for (one, a), (other, b) in combinations(letters, 2):
        if a.overlaps(b):
            found.append(f"{other.get_text()!r} lies on {one.get_text()!r}")
    for text, box in letters:
        if any(box.overlaps(_picture(image)) for image in figure.images):
            found.append(f"{text.get_text()!r} lies on a picture")
        for ax in figure.axes:
            if ax is not text.axes and text.get_figure() is figure and ax.patch.get_visible() and box.overlaps(ax.bbox):
                found.append(f"{text.get_text()!r} lies on the axes of another panel")
            if text.get_bbox_patch() is None and any(_crosses(mark, box) for mark in marks(ax) if not isinstance(mark, Patch)):
                found.append(f"a curve runs through {text.get_text()!r}")
    return found


def _crosses(mark, box):
    """Does the mark's line, or one of its points, lie in this box, where it is drawn?"""
    xy = points(mark)
    if mark.get_clip_on() and mark.axes is not None:
        clipped = Bbox.intersection(box, mark.axes.bbox)
        if clipped is None:
            return False
        box = clipped
    inside = (xy[:, 0] > box.x0) & (xy[:, 0] < box.x1) & (xy[:, 1] > box.y0) & (xy[:, 1] < box.y1)
    if inside.any():
        return True
    return isinstance(mark, Line2D) and mark.get_linestyle() not in ("None", "", " ") and _a_segment_meets(xy, box)


def _a_segment_meets(xy, box):
    """Liang & Barsky (1984), for all segments at once: what is left of each after the four sides of the box have cut it."""
    a, way = xy[:-1], np.diff(xy, axis=0)
    d = np.stack([-way[:, 0], way[:, 0], -way[:, 1], way[:, 1]])
    room = np.stack([a[:, 0] - box.x0, box.x1 - a[:, 0], a[:, 1] - box.y0, box.y1 - a[:, 1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        at = room / d
    first = np.where(d < 0, at, 0).max(axis=0, initial=0)
    last = np.where(d > 0, at, 1).min(axis=0, initial=1)
    return bool((np.isfinite(way).all(axis=1) & (first <= last) & ~((d == 0) & (room < 0)).any(axis=0)).any())


# Colours --------------------------------------------------------------------------------------------------------------


def _alike(ax):
    """Pairs of colours of this panel that some reader takes for one another, where no shape, dash or filling separates them."""
    lines = {to_rgba(mark.get_color())[:3] for mark in marks(ax) if isinstance(mark, Line2D)}
    looks = {look for mark in marks(ax) if not _is_band(mark, lines) for look in _looks(mark)}
    found = []
    for (one, shape), (other, other_shape) in combinations(sorted(looks, key=repr), 2):
        if shape != other_shape or one == other:
            continue
        for reader, distance in distances(one, other).items():
            if distance < APART:
                found.append(f"{_hex(one)} and {_hex(other)} are {distance:.0f} apart in {reader}, and {APART:.0f} are needed")
    return found


def _is_band(mark, lines):
    """A pale area around a line of the same colour, which tells its readers what it is."""
    return isinstance(mark, PolyCollection) and all(tuple(c[:3]) in lines and c[3] < 0.3 for c in mark.get_facecolor())


def _looks(mark):
    """What a mark looks like: {(colour as it appears on white, what else tells it from others)}"""
    if isinstance(mark, Line2D):
        drawn = mark.get_marker() not in ("None", "", " ", None) and not (
            isinstance(mark.get_markevery(), (list, tuple)) and not len(mark.get_markevery())
        )
        hollow = drawn and to_rgba(mark.get_markerfacecolor())[:3] != to_rgba(mark.get_color())[:3]
        yield on_white(mark.get_color(), mark.get_alpha()), (mark.get_marker() if drawn else "", mark.get_linestyle(), hollow)
    elif isinstance(mark, Patch):
        colour = mark.get_facecolor() if mark.get_fill() and mark.get_facecolor()[3] else mark.get_edgecolor()
        yield on_white(colour), ("area", mark.get_fill(), mark.get_hatch(), mark.get_linestyle())
    else:
        shapes = tuple(path.vertices.tobytes() for path in mark.get_paths()[:1]) if isinstance(mark, PathCollection) else ("band",)
        for colour in np.unique(mark.get_facecolor(), axis=0):
            yield on_white(colour), shapes


def on_white(colour, alpha=None):
    *rgb, a = to_rgba(colour, alpha)
    return tuple(round(a * c + 1 - a, 3) for c in rgb)


def distances(one, other):
    """How far apart two colours (any that Matplotlib knows) are in CIELAB, for each reader."""
    return {
        reader: float(np.linalg.norm(_cielab(np.array(matrix) @ _linear(one)) - _cielab(np.array(matrix) @ _linear(other))))
        for reader, matrix in READERS.items()
    }


def _linear(colour):
    c = np.array(to_rgba(colour)[:3])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1


def _cielab(linear):
    """CIE 1976 L*a*b* of linear sRGB, white point D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(linear, 0, 1)
    f = xyz / [0.9505, 1.0, 1.0890]
    x, y, z = np.where(f > 216 / 24389, np.cbrt(f), (24389 / 27 * f + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _hex(rgb):
    return "#" + "".join(f"{round(255 * c):02x}" for c in rgb)
