"""The error of a derivative against its step: the V of each difference, and the complex step that has no left side."""

import numpy as np

from .page import BLUE, BODY, GREEN, GREY, SMALL, VERMILION, leading, page, text_width

# colour, sign, marker
_LOOKS = {"forward": (BLUE, "●", "o"), "central": (VERMILION, "■", "s"), "complex step": (GREEN, "▲", "^")}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TITLE = "Anatomy of a derivative's error\nRelative error of a derivative, against its step h"


def draw_error_anatomy(anatomy, path, title=_TITLE):
    """1600 x 900 pixels: float32 on the left, float64 on the right; each curve's best step is a point, with its numbers
    above.

    anatomy: what `checks.error_anatomy` returned. An error of 0, which no logarithm shows, is drawn at the lower edge;
    NaN leaves a gap. Dotted: ε, below which no number of that precision can be told from another.
    """
    dtypes = list(dict.fromkeys(dtype for _, dtype in anatomy.curves))
    positive = [e[e > 0] for e in anatomy.curves.values()]
    floor = 10.0 ** np.floor(np.log10(min([1e-17, *(e.min() for e in positive if e.size)])))
    top = min(1e6, 10.0 ** np.ceil(np.log10(max([10.0, *(e.max() for e in positive if e.size)]))))
    with page(path, title, 1600, 900, whole=True) as sheet:
        space, left, above, below = 96, 104, 5 * leading(BODY), 84
        width = (sheet.width - left - space * (len(dtypes) - 1)) / len(dtypes)
        for i, dtype in enumerate(dtypes):
            x = left + i * (width + space)
            ax = sheet.axes(x, above, width, sheet.height - above - below)
            ax.set(xscale="log", yscale="log", xlim=(anatomy.steps.min(), anatomy.steps.max()), ylim=(floor, top))
            ax.grid(axis="y")
            ax.minorticks_off()
            ax.set_xlabel("step h")
            if i == 0:
                ax.set_ylabel("relative error")
            ax.axhline(np.finfo(dtype).eps, color=GREY, linewidth=1.2, linestyle=":")
            curves = {method: errors for (method, kind), errors in anatomy.curves.items() if kind == dtype}
            _panel(ax, anatomy.steps, curves, floor, top)
            _caption(sheet, x, dtype, {method: anatomy.best(method, dtype) for method in curves})


def _panel(ax, steps, curves, floor, top):
    for method, errors in curves.items():
        shown = np.clip(errors, floor, top)
        colour, _, marker = _LOOKS[method]
        ax.plot(steps, shown, color=colour, linewidth=2, marker=marker, markersize=3)
        if np.isfinite(shown).any():
            least = np.nanmin(errors)
            best = steps[errors == least].max()
            ax.plot([best], [min(max(least, floor), top)], color=colour, marker=marker, markersize=9, clip_on=False)


def _caption(sheet, x, dtype, best):
    """The precision, then a line for each method: the least error it reaches, and where."""
    sheet.text(x, leading(BODY) / 2, dtype, BODY + 1, weight="bold", va="center")
    beside = x + text_width(dtype, BODY + 1, "bold") + 16
    sheet.text(beside, leading(BODY) / 2, f"dotted: ε = {_power(np.finfo(dtype).eps)}", SMALL, color=GREY, va="center")
    indent = max(text_width(f"■ {method}", SMALL, "bold") for method in best) + 22
    for k, (method, (step, error)) in enumerate(best.items()):
        y = (1.6 + k) * leading(BODY)
        words = f"{_power(error)} at h = {_power(step)}" if np.isfinite(error) else "not finite"
        colour, sign, _ = _LOOKS[method]
        sheet.text(x, y, f"{sign} {method}", SMALL, color=colour, weight="bold", va="center")
        sheet.text(x + indent, y, words, SMALL, va="center")


def _power(number):
    """2.2e-16 → "2 · 10⁻¹⁶" """
    digit, _, exponent = f"{number:.0e}".partition("e")
    return f"{digit} · 10{str(int(exponent)).translate(_RAISED)}" if number else "0"
