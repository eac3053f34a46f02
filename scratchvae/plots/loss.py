"""The loss and its parts over the epochs, each in a panel of its own: their scales differ."""

import numpy as np

from ..errors import DataError
from .page import BLUE, BODY, GREEN, GREY, INK, SMALL, VERMILION, leading, page, say_what_lies_above, text_width

PARTS = {
    "loss": ("Objective", "reconstruction + weighted KL"),
    "reconstruction": ("Reconstruction", "−log p(x|z)"),
    "kl": ("KL", "KL(q(z|x) ‖ N(0, I))"),
}
# What a split looks like: its sign in the key, and its curve. Each differs in shape too, for paper printed in grey. All
# points of the measured ones lie in the panel (`limits`), so that at its edge they are whole.
SPLITS = {
    "train": ("—", {"color": BLUE, "linewidth": 1.2, "marker": "_", "markersize": 6, "markeredgewidth": 4}),
    "validation": (
        "◆",
        {"color": GREEN, "linewidth": 2, "marker": "D", "markersize": 4.5, "linestyle": "--", "clip_on": False},
    ),
    "test": ("●", {"color": VERMILION, "linewidth": 2, "marker": "o", "markersize": 5.5, "clip_on": False}),
}
MOST_POINTS = 40  # marked on a curve, about


def draw_loss(
    records, path, title="Loss during training\nNats per image: summed over pixels, averaged over images", chapters=(),
    parts=PARTS, unit="nats", share=None,
):  # fmt: skip
    """1600 x 900 pixels: total, reconstruction and KL, while training (thin line), on the test split (points) and
    validation.

    records: the lines of metrics.jsonl after its header, as dicts. A value that is missing, NaN or infinite leaves a
    gap. A ring marks the epoch of the least validation loss; chapters: epochs at which training went on with other
    settings, as upright lines · parts: {key of a record: (name, formula)} of the panels, where they are others ·
    share: epochs (n,), and the share (n,) of its weight with which the KL counted there, as a grey ground.
    Raises DataError when there is none to draw.
    """
    try:
        curves = {key: {split: series(records, split, key) for split in SPLITS} for key in parts}
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"these are no records of a run, dicts with split, epoch and loss as numbers: {error}"
        ) from error
    shown = [key for key in parts if any(np.isfinite(y).any() for _, y in curves[key].values())]
    if not shown:
        raise DataError("there is no loss to draw: no record holds a finite one")
    names = dict(parts)
    if "kl" not in shown and "reconstruction" in shown:  # an autoencoder's loss is its reconstruction
        shown = ["reconstruction"]
    elif parts is PARTS and is_elbo(records):
        names["loss"] = ("−ELBO", "reconstruction + KL")
    end = max((x.max() for key in shown for x, _ in curves[key].values() if x.size), default=1)
    best = best_epoch(*series(records, "validation", "loss"))
    with page(path, title, 1600, 900, whole=True) as sheet:
        space, left, below = 96, 104, 84
        width = (sheet.width - left - space * (len(shown) - 1)) / len(shown)
        keys = [_keys(curves[key], best, width) for key in shown]
        top = (2.2 + max(map(len, keys))) * leading(BODY)
        for i, key in enumerate(shown):
            x = left + i * (width + space)
            ax = sheet.axes(x, top, width, sheet.height - top - below)
            scale = _panel(ax, curves[key], end, best, [epoch for epoch in chapters if 0 < epoch < end])
            ax.set_xlabel("epoch")
            if i == 0:
                ax.set_ylabel(f"{unit} per image")
            name, formula = names[key]
            if key == "kl" and share is not None:
                whole = ax.get_xaxis_transform()  # the upright axis from 0 to 1
                ax.fill_between(*share, color=GREY, alpha=0.18, linewidth=0, transform=whole, zorder=0)
                formula = "grey: the share that counted"
            _caption(sheet, x, name, formula + scale, keys[i])


def series(records, split, key):
    """Epochs and values of one curve.   → x (n,), y (n,) with NaN where there is no finite value"""
    lines = [r for r in records if r.get("split") == split]
    x, y = (np.array([r.get(name) for r in lines], float) for name in ("epoch", key))  # None becomes NaN
    known = np.isfinite(x)
    return x[known], np.where(np.isfinite(y), y, np.nan)[known]


def is_elbo(records):
    """Is the loss the plain sum of reconstruction and KL, wherever all three are finite?"""
    rows = np.array([[r.get(key) for key in PARTS] for r in records], float)
    loss, reconstruction, kl = rows[np.isfinite(rows).all(axis=1)].T
    return np.allclose(loss, reconstruction + kl, rtol=1e-5)


def best_epoch(x, y):
    """The epoch of the least finite value, the first of equal ones; None where there is none."""
    return float(x[np.nanargmin(y)]) if np.isfinite(y).any() else None


def limits(curves, end):
    """What the upright axis shows, and how.   → low, high, "linear" or "log"

    The line of training begins with a fall that would flatten all that follows: its first twentieth may lie above
    `high`; every point of the other splits is shown. A late rise to more than ten times the usual, as where training
    diverges, is shown on a logarithmic scale.
    """
    finite = {split: (x[np.isfinite(y)], y[np.isfinite(y)]) for split, (x, y) in curves.items()}
    y = np.concatenate([values for _, values in finite.values()])
    late = np.concatenate(
        [values if split != "train" else values[x > end / 20] for split, (x, values) in finite.items()]
    )
    low, high = y.min(), y.max()
    if late.size and high - low > 1.5 * (late.max() - low):
        high = late.max()
    if low > 0 and high > 10 * np.median(y):
        return low / 1.2, y.max() * 1.2, "log"
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1
    return low - room, high + room, "linear"


def _panel(ax, curves, end, best, chapters):
    """The curves of one part.   → words on the scale, for the caption"""
    low, high, scale = limits(curves, end)
    ax.set(yscale=scale, ylim=(low, high), xlim=(0, 1.02 * (end or 1)))  # room for the last point
    for epoch in chapters:
        ax.axvline(epoch, color=GREY, linewidth=1.2, linestyle=":")
    for split, (x, y) in curves.items():
        if x.size:
            every = (
                lonely(y)
                if split == "train"
                else sorted({*range(0, len(x), -(-len(x) // MOST_POINTS)), len(x) - 1, *lonely(y)})
            )
            ax.plot(x, y, markevery=every, **SPLITS[split][1])
    x, y = curves["validation"]
    if best is not None and np.isfinite(y[x == best]).all():
        ax.plot([best], y[x == best][:1], "o", color=INK, markersize=13, fillstyle="none", markeredgewidth=1.8,
                    clip_on=False)  # fmt: skip
    ax.xaxis.get_major_locator().set_params(integer=end >= 3, nbins=6)
    ax.grid(axis="y")
    ax.yaxis.set_major_formatter(lambda y, _: number(y, abs(y) if scale == "log" else max(abs(low), abs(high))))
    if scale == "log":
        ax.minorticks_off()
        return ", log scale"
    ax.yaxis.get_major_locator().set_params(nbins=6)
    say_what_lies_above(ax, curves.values(), chapters)
    return ""


def _keys(curves, best, width):
    """Rows of (text, colour) no wider than a panel: each split by its sign, with its last value, and the best epoch."""
    keys = []
    for split, (x, y) in curves.items():
        if x.size:
            sign, style = SPLITS[split]
            last = "" if split == "train" else f" {_value(y[-1])}"
            keys.append((f"{sign} {split}{last}", style["color"]))
    if best is not None:
        keys.append((f"○ best: epoch {best:g}", INK))
    rows, room = [[]], 0
    for text, colour in keys:
        needed = text_width(text, SMALL, "bold") + 22
        if rows[-1] and needed > room + 22:
            rows.append([])
        room = (room if rows[-1] else width) - needed
        rows[-1].append((text, colour))
    return rows


def _caption(sheet, x, name, formula, keys):
    """Name, formula, and the key: its last values are those of the last epoch."""
    sheet.text(x, leading(BODY) / 2, name, BODY + 1, weight="bold", va="center")
    sheet.text(x, leading(BODY) * 1.5, formula, SMALL, color=GREY, va="center")
    for k, row in enumerate(keys):
        at = x
        for text, colour in row:
            sheet.text(at, leading(BODY) * (2.5 + k), text, SMALL, color=colour, weight="bold", va="center")
            at += text_width(text, SMALL, "bold") + 22


def _value(y):
    if not np.isfinite(y):
        return "not finite"
    return (f"{y:,.2f}" if abs(y) < 1e6 else f"{y:.4g}").replace("-", "−")


def number(y, largest):
    """A tick's label, in thousands, millions or billions where the axis reaches so far: 0.5, −120, 12.5k, 3M, 2G"""
    y = 0 if abs(y) < 1e-9 * largest else y  # a locator's zero is not always 0
    unit, name = next(
        (one for least, *one in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")) if largest >= least), (1, "")
    )
    return (f"{y:.0e}" if largest >= 1e13 else f"{y / unit:.6g}{name}").replace("-", "−")


def lonely(y):
    """Where a value has no finite neighbour, so that a line alone would not show it.   y (n,) → list of places"""
    ok = np.concatenate([[False], np.isfinite(y), [False]])
    return np.flatnonzero(ok[1:-1] & ~ok[:-2] & ~ok[2:]).tolist()
