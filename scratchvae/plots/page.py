"""The sheet every figure stands on: measured in pixels from its top left corner, in one style, written whole or not at
all."""

from bisect import bisect
from contextlib import contextmanager

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.transforms import IdentityTransform
from PIL import Image

from ..files import replacing

DPI = 128  # a power of two: pixels / DPI * DPI is exact
MARGIN = 48
INK, GREY, RULE = "#1f2933", "#5f6b76", "#d5dadf"
# Okabe & Ito (2008): told apart with any kind of colour vision. The blue is a little darker than theirs: so it also
# differs from the vermilion where both are printed in grey.
BLUE, VERMILION, GREEN = "#00649e", "#d55e00", "#009e73"
HEADING, BODY, SMALL = 20, 13, 12  # points
LETTERS = 2000  # more than the lines of a title hold

_STYLE = {
    "font.family": "DejaVu Sans", "font.size": BODY, "text.color": INK, "text.usetex": False,
    "axes.unicode_minus": True,
    "axes.edgecolor": GREY, "axes.labelcolor": INK, "axes.labelsize": BODY, "axes.labelpad": 6, "axes.linewidth": 0.8,
    "axes.facecolor": "white", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False,
    "axes.axisbelow": True, "axes.xmargin": 0, "grid.color": RULE, "grid.linewidth": 0.7, "grid.linestyle": "-",
    "xtick.color": GREY, "ytick.color": GREY, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "xtick.direction": "out", "ytick.direction": "out",
    "figure.facecolor": "white", "figure.autolayout": False, "figure.constrained_layout.use": False,
}  # fmt: skip


class Page:
    """A white figure of at least `width` x `height` pixels inside its margins and below its title.

    With whole=True, width and height are those of the figure instead. `width` and `height` then hold what is left
    inside.
    """

    def __init__(self, title, width, height, whole=False):
        if whole:
            width -= 2 * MARGIN
        self.width = max(width, 760)
        heading, _, rest = title.partition("\n")
        lines = [
            (line, HEADING, "bold", INK) for line in at_most(2, wrap(heading[:LETTERS], HEADING, self.width, "bold"))
        ]
        for part in filter(None, rest.split("\n")):
            lines += [(line, BODY, "normal", GREY) for line in at_most(6, wrap(part[:LETTERS], BODY, self.width))]
        depth = MARGIN - 6  # of the next line's middle, from the top of the page
        spots = []
        for line, size, weight, colour in lines:
            depth += leading(size)
            spots.append((line, depth - leading(size) / 2, size, weight, colour))
        self.top = round(depth + 30)
        self.height = height - self.top - MARGIN if whole else height
        self.size = round(self.width + 2 * MARGIN), round(self.top + self.height + MARGIN)
        self.figure = Figure((self.size[0] / DPI, self.size[1] / DPI), dpi=DPI)
        FigureCanvasAgg(self.figure)
        for line, y, size, weight, colour in spots:
            self.text(0, y - self.top, line, size, weight=weight, color=colour, va="center")

    def text(self, x, y, text, size=BODY, **options):
        """Text at x, y pixels from the top left corner below the title. Taken literally: a $ starts no formula."""
        width, height = self.size
        place = (MARGIN + x) / width, 1 - (self.top + y) / height
        return self.figure.text(*place, text, fontsize=size, parse_math=False, **options)

    def axes(self, x, y, width, height):
        """Axes on exactly these pixels, rounded to whole ones."""
        W, H = self.size
        x, y, width, height = (round(value) for value in (x, y, width, height))
        return self.figure.add_axes([(MARGIN + x) / W, 1 - (self.top + y + height) / H, width / W, height / H])

    def picture(self, x, y, pixels):
        """Show pixels in [0, 1], NaN for the page, one to one.   pixels (h, w) gray or (h, w, 3) colour"""
        below = self.size[1] - self.top - round(y) - len(pixels)
        shown = np.clip(np.where(np.isnan(pixels), 1, pixels), 0, 1)
        self.figure.figimage(shown, MARGIN + round(x), below, cmap="gray", vmin=0, vmax=1, origin="upper")

    def outline(self, x, y, width, height):
        """A blue frame around these pixels."""
        corner = MARGIN + round(x), self.size[1] - self.top - round(y) - height
        frame = {"fill": False, "edgecolor": BLUE, "linewidth": 2.2, "transform": IdentityTransform()}
        self.figure.add_artist(Rectangle(corner, width, height, **frame))


@contextmanager
def page(path, title, width, height, whole=False):
    """A Page to draw on, that becomes the file `path` when the block ends well; otherwise nothing is written."""
    with rc_context(_STYLE):
        sheet = Page(title, width, height, whole)
        yield sheet
        with replacing(path) as temporary:
            sheet.figure.canvas.print_png(temporary)


@contextmanager
def film(path, title, width, height, rounds=3):
    """turn(seconds) → the next Page, to be seen that long: together they are the animated GIF `path` when the block
    ends well.

    It is played a few times and rests on its last page, for readers whom what moves without end disturbs.
    """
    sheets, times = [], []

    def turn(seconds):
        sheets.append(Page(title, width, height))
        times.append(round(1000 * seconds))
        return sheets[-1]

    with rc_context(_STYLE):
        yield turn
        for sheet in sheets:
            sheet.figure.canvas.draw()
    pictures = [Image.fromarray(np.asarray(sheet.figure.canvas.buffer_rgba())).convert("RGB") for sheet in sheets]
    # One palette, so that what stays is written once.
    colours = pictures[-1].quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    frames = [picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture in pictures]
    with replacing(path) as temporary:
        frames[0].save(temporary, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=rounds - 1)


def say_what_lies_above(ax, curves, rules=()):
    """Where curves leave the panel at its upper edge: an arrow and the highest value, beside them or in the corner.

    curves [(x, y)], y with NaN for gaps; rules: the x of upright lines that the words must not stand on.
    """
    (start, end), (low, high), panel = ax.get_xlim(), ax.get_ylim(), ax.get_window_extent()
    highest = max((np.nanmax(y) for _, y in curves if np.isfinite(y).any()), default=low)
    if highest <= high:
        return
    text = f"↑ {highest:,.4g}".replace("-", "−")
    band = high - (high - low) * 1.3 * leading(SMALL) / panel.height
    leaves = start  # the x from which on no curve is in the band where the text will stand
    for x, y in curves:
        for i in np.flatnonzero(y > band)[-1:]:
            down = (y[i] - band) / (y[i] - y[i + 1]) if i + 1 < len(y) and np.isfinite(y[i + 1]) else 0
            leaves = max(leaves, x[i] + down * (x[min(i + 1, len(x) - 1)] - x[i]))
    width, room = text_width(text, SMALL) / panel.width, 16 / panel.width
    left = (leaves - start) / (end - start) + room
    for rule in sorted((x - start) / (end - start) for x in rules):
        if left - room < rule < left + width + room:
            left = rule + room
    fits = left + width < 1
    ax.text(left if fits else 1, 0.99, text, fontsize=SMALL, color=GREY, ha="left" if fits else "right", va="top",
            transform=ax.transAxes)  # fmt: skip


def text_width(text, size, weight="normal"):
    """Width of one line, in pixels."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] * DPI / 72


def shorter(name, letters=24):
    """A name of at most that many letters: its beginning and … where it is longer."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


def leading(size):
    """Distance from line to line, in pixels, for a size in points."""
    return size * DPI / 72 * 1.4


def wrap(text, size, width, weight="normal"):
    """Break a text into lines no wider than `width` pixels: between words, or inside a word that alone is wider."""
    lines, line = [], ""
    for word in text.split():
        candidate = f"{line} {word}".lstrip()
        if line and text_width(candidate, size, weight) > width:
            lines.append(line)
            candidate = word
        while text_width(candidate, size, weight) > width:
            fits = _letters(candidate, size, width, weight)
            lines.append(candidate[:fits])
            candidate = candidate[fits:]
        line = candidate
    return [*lines, line] if line else lines


def at_most(count, lines):
    """The first lines of many, so that names of any length leave room for what is drawn."""
    return lines if len(lines) <= count else [*lines[: count - 1], f"{lines[count - 1][:-3]} …"]


def _letters(word, size, width, weight):
    """How many letters of a word that is too wide fit in `width` pixels: at least one."""
    return max(1, bisect(range(1, len(word)), width, key=lambda n: text_width(word[:n], size, weight)))
