"""Where images lie in latent space."""

import numpy as np
from matplotlib.patches import Circle

from .page import BLUE, BODY, GREY, INK, SMALL, leading, page, shorter, text_width
from .tiles import finite, label_names, model_input

POINTS, PER_COLUMN, OPACITY = 2000, 25, 0.85  # images; classes in one column of the legend
PER_BADGE = 20  # images of a class, about: of fewer a badge would hide too many
# The "muted" colours of Paul Tol (2021), made for colour-blind readers, and a near-black; four a little lighter or
# darker, so that every second colour also differs in grey print. Class k has shape k + 2 · ⌊k/10⌋: two classes of one
# shape are never neighbours.
COLOURS = ["#aa4499", "#332288", "#e3b23c", "#0a6127", "#882255", "#88ccee", "#999933", "#c1596d", "#222222", "#48b3a2"]
MARKERS = "o^sDvXP<>*"
MOST = 5 * len(COLOURS)  # classes that can be told apart
PRIOR_95 = 2.447747  # 95 % of N(0, I) in two dimensions lies within √(−2 ln 0.05)


def draw_latent(model, images, labels, path, title, names=None):
    """The codes of up to 2,000 images, coloured by label: (N,), or None for one colour. names: of the labels, a list or
    a dict.

    One latent: a strip per class and its median, or a histogram, on 1600 x 900 pixels. Two: z₁ and z₂. More: the two
    principal components, with their share of the variance. Raises NonFiniteError for codes that hold NaN.
    """
    x, rows = model_input(model, images, POINTS)
    codes = finite(model.codes(x), "the codes").astype(float)
    labels = label_names(labels, np.atleast_2d(images), names)
    classes = [None] if labels is None else np.unique(labels[rows]).tolist()
    if len(classes) > MOST:
        title += ("; " if "\n" in title else "\n") + f"{len(classes)} classes, not told apart"
        classes = [None]
    groups = [np.full(len(rows), True) if c is None else labels[rows] == c for c in classes]
    prior = model.kind == "vae" and model.latent == 2
    title += ("; " if "\n" in title else "\n") + f"{len(rows):,} shown" + ("; dashed: 95% of N(0, I)" if prior else "")
    if model.latent == 1:
        _strips(codes[:, 0], classes, groups, path, title)
    else:
        points, names = (codes, ["z₁", "z₂"]) if model.latent == 2 else components(codes)
        _scatter(points, names, classes, groups, path, title, prior)


def components(codes):
    """The two principal components.   codes (N, L) → (N, 2), two axis names with the share of the variance"""
    centred = codes - codes.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    directions = directions[:, ::-1][:, :2]
    # a sign of its own
    directions = directions * np.where(directions[np.abs(directions).argmax(axis=0), [0, 1]] < 0, -1, 1)
    total = variances.sum()
    shares = [value / total if total > 0 else 0 for value in variances[::-1][:2]]
    order = zip(("first", "second"), shares, strict=True)
    return centred @ directions, [
        f"{which} principal component ({share:.0%} of the variance)" for which, share in order
    ]


def _scatter(points, names, classes, groups, path, title, prior):
    side, left, below = 1000, 100, 84
    columns = -(-len(classes) // PER_COLUMN) if classes != [None] else 0
    legend = columns * (60 + max(text_width(shorter(str(c)), BODY) for c in classes))
    with page(path, title, left + side + legend, side + below) as sheet:
        ax = sheet.axes(left, 0, side, side)
        for k, group in enumerate(groups):
            # A label that begins with an underscore would be left out of the key: a thin space stands before each.
            style = {"color": _colour(classes, k), "marker": _marker(k), "label": "\u2009" + shorter(str(classes[k]))}
            ax.scatter(*points[group].T, s=26, alpha=OPACITY, linewidths=0, **style)
        if prior:
            ax.add_patch(Circle((0, 0), PRIOR_95, fill=False, edgecolor=GREY, linewidth=1.2, linestyle=(0, (4, 3))))
        centre, reach = square(np.vstack([points, [[-PRIOR_95] * 2, [PRIOR_95] * 2]]) if prior else points)
        ax.set_xlim(centre[0] - reach, centre[0] + reach)
        ax.set_ylim(centre[1] - reach, centre[1] + reach)
        ax.set_xlabel(names[0])
        ax.set_ylabel(names[1])
        if classes == [None]:
            return
        key = ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=BODY, markerscale=1.8,
                  ncols=columns, handlelength=1, handletextpad=0.5, borderpad=0, columnspacing=1)  # fmt: skip
        for text in key.get_texts():
            text.set_parse_math(False)
        if columns > 1 or len(points) < PER_BADGE * len(classes):
            return
        _badges(
            ax, [shorter(str(c)) for c in classes], np.array([np.median(points[group], axis=0) for group in groups])
        )


def _badges(ax, names, places):
    """Each class's name at the median of its points, or as near as there is room; none where there is no room for
    all."""
    circles = max(map(len, names)) <= 2
    size = np.array([28 + max(text_width(name, BODY, "bold") for name in names), 1.7 * leading(BODY)])
    size[1] = size[0] if circles else size[1]
    distance = 1 if circles else 1.45  # of two rectangles' centres: so that even diagonally they do not touch
    box = ax.get_window_extent()
    bounds = np.array(box.p0) / size + 0.5, np.array(box.p1) / size - 0.5
    placed = apart(ax.transData.transform(places) / size, distance, bounds)
    gap = np.sqrt(((placed[:, None] - placed) ** 2).sum(axis=2)) + np.eye(len(names)) * distance
    if gap.min() < 0.98 * distance:
        return
    for k, (name, place) in enumerate(zip(names, ax.transData.inverted().transform(placed * size), strict=True)):
        # it covers its place no more
        if np.abs(placed[k] * size - ax.transData.transform(places[k])).max() > size[1] / 2:
            ax.plot(*np.stack([places[k], place]).T, color=INK, linewidth=1, marker="o", markersize=4, markevery=[0])
        shape = "circle,pad=0.28" if circles else "round,pad=0.32"
        badge = {"boxstyle": shape, "facecolor": "white", "edgecolor": COLOURS[k % len(COLOURS)], "linewidth": 2.4}
        ax.text(*place, name, fontsize=BODY, weight="bold", ha="center", va="center", bbox=badge, parse_math=False)


def apart(places, distance, bounds=None, rounds=200):
    """Push labels away from each other until each two are at least `distance` apart, or nearly, inside bounds.
    (K, 2) → (K, 2)"""
    places = places + 1e-3 * distance * np.stack(
        [np.cos(np.arange(len(places))), np.sin(np.arange(len(places)))], axis=1
    )
    for _ in range(rounds):
        gap = places[:, None] - places
        length = np.sqrt((gap**2).sum(axis=2)) + np.eye(len(places)) * distance
        push = np.maximum(distance * 1.02 - length, 0) / length * (1 - np.eye(len(places)))
        places = places + 0.5 * (push[:, :, None] * gap).sum(axis=1)
        if bounds is not None:
            places = np.clip(places, *bounds)
        if not push.any():
            break
    return places


def square(points):
    """Centre and half side of a square around all points."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, (high - low).max() * 0.53 or 1.0


def _strips(z, classes, groups, path, title):
    with page(path, title, 1600, 900, whole=True) as sheet:
        shown = range(0, len(classes), -(-len(classes) // PER_COLUMN))
        names = [shorter(str(classes[k])) for k in shown]
        left = max(100, *(60 + text_width(name, SMALL) for name in names))
        ax = sheet.axes(left, 0, sheet.width - left, sheet.height - 84)
        if classes == [None]:
            ax.hist(z, bins=60, color=BLUE)
            ax.set_ylabel("images")
        else:
            for k, group in enumerate(groups):
                height = k + 0.7 * (np.arange(group.sum()) * 0.618034 % 1 - 0.5)  # spread evenly, the same every time
                ax.scatter(
                    z[group], height, s=18, color=_colour(classes, k), marker=_marker(k), alpha=OPACITY, linewidths=0
                )
                ax.plot([np.median(z[group])] * 2, [k - 0.42, k + 0.42], color=INK, linewidth=2.5)
            ax.set_yticks(shown, names, parse_math=False)
            ax.set_ylim(len(classes) - 0.5, -0.5)
            ax.set_ylabel("class")
        spread = (z.max() - z.min()) * 0.04 or 1.0
        ax.set_xlim(z.min() - spread, z.max() + spread)
        ax.set_xlabel("z")
        ax.tick_params(labelsize=SMALL)


def _colour(classes, k):
    return BLUE if classes == [None] else COLOURS[k % len(COLOURS)]


def _marker(k):
    return MARKERS[(k + 2 * (k // len(COLOURS))) % len(MARKERS)]
