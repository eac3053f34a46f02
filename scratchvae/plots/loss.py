"""The loss and its parts over the epochs, each in a panel of its own: their scales differ."""

import numpy as np

from ..errors import DataError
from .page import BLUE, BODY, GREY, SMALL, VERMILION, leading, page, text_width

PARTS = {
    "loss": ("Objective", "reconstruction + weighted KL"),
    "reconstruction": ("Reconstruction", "−log p(x|z)"),
    "kl": ("KL", "KL(q(z|x) ‖ N(0, I))"),
}


def draw_loss(records, path, title="Loss during training\nNats per image: summed over pixels, averaged over images"):
    """1600 x 900 pixels: total, reconstruction and KL, while training (thin line) and on the test split (points).

    records: the lines of metrics.jsonl after its header, as dicts. A value that is missing, NaN or infinite leaves a gap.
    Raises DataError when there is none to draw.
    """
    curves = {key: {split: series(records, split, key) for split in ("train", "test")} for key in PARTS}
    shown = [key for key in PARTS if any(np.isfinite(y).any() for _, y in curves[key].values())]
    if not shown:
        raise DataError("there is no loss to draw: no record holds a finite one")
    names = dict(PARTS)
    if "kl" not in shown and "reconstruction" in shown:  # an autoencoder's loss is its reconstruction
        shown = ["reconstruction"]
    elif is_elbo(records):
        names["loss"] = ("−ELBO", "reconstruction + KL")
    end = max((x.max() for key in shown for x, _ in curves[key].values() if x.size), default=1)
    with page(path, title, 1600, 900, whole=True) as sheet:
        space, left, top, below = 96, 104, 3.2 * leading(BODY), 84
        width = (sheet.width - left - space * (len(shown) - 1)) / len(shown)
        for i, key in enumerate(shown):
            x = left + i * (width + space)
            ax = sheet.axes(x, top, width, sheet.height - top - below)
            hidden = _panel(ax, curves[key], end)
            ax.set_xlabel("epoch")
            if i == 0:
                ax.set_ylabel("nats per image")
            _caption(sheet, x, *names[key], curves[key])
            if hidden:
                peak = f"↑ peak {hidden:,.4g}".replace("-", "−")
                sheet.text(x + width, leading(BODY) * 1.5, peak, SMALL, color=GREY, ha="right", va="center")


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


def upper_limit(curves, end):
    """The highest value to show: all but the first twentieth of training, whose fall would flatten the rest."""
    finite = [(x[ok], y[ok]) for x, y in curves.values() for ok in [np.isfinite(y)]]
    x, y = (np.concatenate(part) for part in zip(*finite, strict=True))
    late = y[x > end / 20]
    low, high = y.min(), y.max()
    if late.size and high - low > 1.5 * (late.max() - low):
        high = late.max()
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1
    return low - room, high + room, y.max()


def _panel(ax, curves, end):
    """Both curves of one part.   → the highest value, if that lies above the panel"""
    (x, y), (x_test, y_test) = curves["train"], curves["test"]
    ax.plot(x, y, color=BLUE, linewidth=1.4, alpha=0.75, marker="o", markersize=4, markevery=lonely(y))
    every = None if len(x_test) <= 40 else lonely(y_test)
    ax.plot(x_test, y_test, color=VERMILION, linewidth=2, marker="o", markersize=5.5, markevery=every, clip_on=False)
    low, high, highest = upper_limit(curves, end)
    ax.set_ylim(low, high)
    ax.set_xlim(0, end or 1)
    ax.xaxis.get_major_locator().set_params(integer=end >= 3, nbins=6)
    ax.yaxis.get_major_locator().set_params(nbins=6)
    ax.grid(axis="y")
    ax.yaxis.set_major_formatter(lambda y, _: number(y, max(abs(low), abs(high))))
    return highest if highest > high else None


def _caption(sheet, x, name, formula, curves):
    """Name, formula, and a key that ends in the last value on the test split."""
    sheet.text(x, leading(BODY) / 2, name, BODY + 1, weight="bold", va="center")
    sheet.text(x, leading(BODY) * 1.5, formula, SMALL, color=GREY, va="center")
    test = curves["test"][1]
    keys = [("— train", BLUE)] if curves["train"][0].size else []
    if test.size:
        last = f"{test[-1]:,.2f}".replace("-", "−") if np.isfinite(test[-1]) else "not finite"
        keys.append((f"● test {last}", VERMILION))
    for text, colour in keys:
        sheet.text(x, leading(BODY) * 2.5, text, SMALL, color=colour, weight="bold", va="center")
        x += text_width(text, SMALL, "bold") + 22


def number(y, largest):
    """A tick's label, in thousands where the axis reaches ten thousand: 0.5, −120, 12.5k"""
    y = 0 if abs(y) < 1e-9 * largest else y  # a locator's zero is not always 0
    return (f"{y / 1000:.6g}k" if largest >= 10_000 else f"{y:.6g}").replace("-", "−")


def lonely(y):
    """Where a value has no finite neighbour, so that a line alone would not show it.   y (n,) → list of places"""
    ok = np.concatenate([[False], np.isfinite(y), [False]])
    return np.flatnonzero(ok[1:-1] & ~ok[:-2] & ~ok[2:]).tolist()
