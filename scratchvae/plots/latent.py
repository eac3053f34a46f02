"""Where images lie in latent space."""

import numpy as np
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from .page import BLUE, BODY, GREY, INK, SMALL, page
from .tiles import finite, model_input

POINTS = 2000
# Nine "muted" colours of Paul Tol (2021), made for colour-blind readers, and a near-black.
COLOURS = ["#cc6677", "#332288", "#ddaa33", "#117733", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499", "#222222"]
MARKERS = "o^sDv"
PRIOR_95 = 2.4477  # 95 % of N(0, I) in two dimensions lies within √(−2 ln 0.05)


def draw_latent(model, images, labels, path, title):
    """The codes of up to 2,000 images, coloured by label: (N,), or None for one colour.

    One latent: a strip per class. Two: z₁ and z₂. More: the two principal components, with their share of the variance.
    Raises NonFiniteError for codes that hold NaN.
    """
    x, rows = model_input(model, images, POINTS)
    codes = finite(model.codes(x), "the codes").astype(float)
    classes = [None] if labels is None else np.unique(np.asarray(labels)[rows]).tolist()
    groups = [np.full(len(rows), True) if c is None else np.asarray(labels)[rows] == c for c in classes]
    title = f"{title}\n{len(rows):,} images" if "\n" not in title else f"{title} ({len(rows):,} shown)"
    if model.latent == 1:
        return _strips(codes[:, 0], classes, groups, path, title)
    points, names = (codes, ["z₁", "z₂"]) if model.latent == 2 else components(codes)
    return _scatter(points, names, classes, groups, path, title, prior=model.kind == "vae" and model.latent == 2)


def components(codes):
    """The two principal components.   codes (N, L) → (N, 2), two axis names with the share of the variance"""
    centred = codes - codes.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    directions = directions[:, ::-1][:, :2]
    directions = directions * np.where(directions[np.abs(directions).argmax(axis=0), [0, 1]] < 0, -1, 1)  # a sign of its own
    total = variances.sum()
    shares = [value / total if total > 0 else 0 for value in variances[::-1][:2]]
    names = [f"{which} principal component ({share:.0%} of the variance)" for which, share in zip(("first", "second"), shares, strict=True)]
    return centred @ directions, names


def _scatter(points, names, classes, groups, path, title, prior):
    side, left, below = 1000, 100, 84
    with page(path, title, left + side + (170 if classes != [None] else 0), side + below) as sheet:
        ax = sheet.axes(left, 0, side, side)
        for k, group in enumerate(groups):
            ax.scatter(*points[group].T, s=24, color=_colour(classes, k), marker=_marker(k), alpha=0.75, linewidths=0, label=classes[k])
        if prior:
            ax.add_patch(Circle((0, 0), PRIOR_95, fill=False, edgecolor=GREY, linewidth=1.2, linestyle=(0, (4, 3))))
        centre, reach = _square(points, PRIOR_95 * 1.06 if prior else 0)
        ax.set_xlim(centre[0] - reach, centre[0] + reach)
        ax.set_ylim(centre[1] - reach, centre[1] + reach)
        ax.set_xlabel(names[0])
        ax.set_ylabel(names[1])
        if classes == [None]:
            return
        for k, group in enumerate(groups):
            ax.text(*np.median(points[group], axis=0), str(classes[k]), fontsize=BODY + 5, weight="bold", color=_colour(classes, k),
                    ha="center", va="center", path_effects=[withStroke(linewidth=5, foreground="white")])  # fmt: skip
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=BODY, markerscale=1.6, handletextpad=0.2)


def _square(points, least):
    """Centre and half side of a square around all points."""
    low, high = points.min(axis=0), points.max(axis=0)
    if least:
        return np.zeros(2), max(least, np.abs(points).max() * 1.04)
    return (low + high) / 2, (high - low).max() * 0.53 or 1.0


def _strips(z, classes, groups, path, title):
    with page(path, title, 1600, 900, whole=True) as sheet:
        ax = sheet.axes(100, 0, sheet.width - 100, sheet.height - 84)
        if classes == [None]:
            ax.hist(z, bins=60, color=BLUE)
            ax.set_ylabel("images")
        else:
            for k, group in enumerate(groups):
                height = k + 0.7 * (np.arange(group.sum()) * 0.618034 % 1 - 0.5)  # spread evenly, the same every time
                ax.scatter(z[group], height, s=16, color=_colour(classes, k), alpha=0.7, linewidths=0)
                ax.plot([np.median(z[group])] * 2, [k - 0.42, k + 0.42], color=INK, linewidth=2.5)
            ax.set_yticks(range(len(classes)), [str(c) for c in classes])
            ax.set_ylim(len(classes) - 0.5, -0.5)
            ax.set_ylabel("class")
        spread = (z.max() - z.min()) * 0.04 or 1.0
        ax.set_xlim(z.min() - spread, z.max() + spread)
        ax.set_xlabel("z")
        ax.tick_params(labelsize=SMALL)


def _colour(classes, k):
    return BLUE if classes == [None] else COLOURS[k % len(COLOURS)]


def _marker(k):
    return MARKERS[k // len(COLOURS) % len(MARKERS)]
