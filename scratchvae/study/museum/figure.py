"""Two trials side by side, and the picture of the museum's door."""

import numpy as np

from ...plots.page import BLUE, GREY, INK, SMALL, VERMILION, page, say_what_lies_above
from ...plots.tiles import mosaic, tiles
from .table import number
from .trial import SHOWN

TILE, GAP, SPACE = (56, 56), 4, 96


def draw_pair(right, wrong, path, title, judged=True):
    """Correct code on the left, wrong code on the right: loss while training, and what they make of images.   Trials → a PNG

    judged=False leaves out what the network is worth.
    """
    width = SHOWN * (TILE[1] + GAP) - GAP
    rows = -(-len(right.samples) // SHOWN)
    heights = {"loss": 260, "pictures": 2 * (TILE[0] + GAP), "samples": rows * (TILE[0] + GAP)}
    with page(path, title, 2 * width + SPACE, sum(heights.values()) + 262) as sheet:
        for column, (name, trial, colour) in enumerate((("Correct", right, BLUE), ("With the bug", wrong, VERMILION))):
            left, top = column * (width + SPACE), 0
            sheet.text(left, top + 12, name, weight="bold", color=colour, va="center")
            sheet.text(left, top + 42, _caption(trial, judged), SMALL, color=GREY, va="center")
            top += 84
            _losses(sheet, trial, colour, left, top, width, heights["loss"])
            top += heights["loss"] + 108
            sheet.text(left, top - 18, trial.seen[0], SMALL, color=GREY, va="center")
            _grid(sheet, left, top, np.concatenate([trial.inputs, trial.outputs]), trial.image_shape)
            top += heights["pictures"] + 50
            sheet.text(left, top - 18, trial.seen[1], SMALL, color=GREY, va="center")
            _grid(sheet, left, top, trial.samples, trial.image_shape)


def draw_door(right, chosen, path, title):
    """Samples of the correct code and of some bugs.   right: Trial · chosen: [(words, Trial, words below)]"""
    across, tile, gap = 6, (42, 42), 3
    side, space, above = across * (tile[1] + gap) - gap, 34, 64
    columns = [("correct", right, "", BLUE), *((*each, VERMILION) for each in chosen)]
    with page(path, title, len(columns) * (side + space) - space, side + above + 62) as sheet:
        for i, (name, trial, below, colour) in enumerate(columns):
            left = i * (side + space)
            sheet.text(left, 12, name, weight="bold", color=colour, va="center")
            sheet.text(left, 40, f"says {number(trial.own)}, is {number(trial.judged)}", SMALL, color=INK, va="center")
            _grid(sheet, left, above, trial.samples[: across * across], trial.image_shape, across, tile, gap)
            sheet.text(left, above + side + 24, below, SMALL, color=GREY, va="center")


def _grid(sheet, left, top, images, image_shape, across=SHOWN, tile=TILE, gap=GAP):
    """Images in rows; what is not finite is shown grey, what is outside [0, 1] as black or white."""
    shown = np.clip(np.where(np.isfinite(images), images, 0.5), 0, 1)
    sheet.picture(left, top, mosaic(tiles(shown, image_shape, tile), across, gap))


def _losses(sheet, trial, colour, left, top, width, height):
    losses = np.array([np.nan if loss is None else loss for loss in trial.losses])
    if not np.isfinite(losses).any():
        sheet.text(left + 74, top + height / 2, "No loss was logged.", SMALL, color=GREY, va="center")
        return
    ax = sheet.axes(left + 74, top, width - 74, height)
    alone = {"marker": "o"} if np.isfinite(losses).sum() == 1 else {}
    ax.plot(trial.epochs, losses, color=colour, linewidth=1.8, **alone)
    finite = losses[np.isfinite(losses)]
    rest = finite[2:] if len(finite) > 2 else finite  # the first lines fall so steeply that they would flatten the rest
    room = 0.08 * (rest.max() - finite.min()) or 1.0
    ax.set_ylim(finite.min() - room, rest.max() + room)
    ax.set_xlim(0, 1.02 * trial.epochs[-1])
    say_what_lies_above(ax, [(np.asarray(trial.epochs), losses)])
    ax.grid(axis="y")
    ax.set_xlabel("epoch")
    ax.set_ylabel("training loss")
    ax.tick_params(labelsize=SMALL)
    ax.yaxis.get_major_locator().set_params(nbins=5)


def _caption(trial, judged):
    words = (
        f"stopped: not finite at {trial.stopped.rpartition(' at ')[2]}" if trial.stopped else f"says {number(trial.own)}"
    )
    return f"{words}; judged {number(trial.judged)}" if judged else words
