"""write_html: a trace as one HTML file, with its data, style and script inside."""

import base64
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...files import make_folder, write_text
from ..mathml import mathml
from .graph import SIDE

# Escapes all that it is given: a name that someone chose for a data set is text and nothing else.
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("assets")), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
PAGES.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
NUMBERS = 64  # an array of up to this many entries is shown as a table of numbers, a larger one as a heat map
FULL = 4096  # an array of up to this many entries is embedded whole; of a larger one, some units are chosen
CHOSEN = 36  # so many
AGREES = 1e-9  # relative: what the page marks as agreement of a gradient and its numeric check
COUNTS = {"image": "image", "pixel": "pixel", "latent": "latent", "code": "column", "shared": "number for all"}
SIDES = ("row", "column")  # of an image or a kernel with channels
COUNTS |= {name: name for name in ("row", "column", "channel", "input channel", "output channel")}


def write_html(trace, path):
    """Write the page of a trace to `path`, whole or not at all, making its folder if need be."""
    make_folder(Path(path).parent)
    write_text(path, html(trace))


def html(trace):
    """The page as text. It names no address: nothing is loaded."""
    paper = _Paper(trace)
    data = {"agrees": AGREES, "steps": [paper.step(step) for step in trace.steps], "arrays": paper.arrays}
    return PAGES.get_template("microscope.html").render(trace=trace, graph=trace.graph, side=SIDE, data=data)


class _Paper:
    """Turns steps into what the script reads, and keeps each array once."""

    def __init__(self, trace):
        self.trace, self.arrays, self.places = trace, [], {}
        self.chosen = {}

    def step(self, step):
        entry = {
            "key": step.key, "phase": step.phase, "title": step.title, "places": step.places, "text": step.text,
            "equations": [f"E{n}" for n in step.equations], "formulas": [mathml(f) for f in step.formulas],
            "sources": step.sources, "ran": step.ran, "values": [self.value(v) for v in step.values],
        }  # fmt: skip
        if step.split:
            L = step.split.total.shape[1] // 2
            numeric = np.full(step.split.total.size, np.nan)
            numeric[step.split.check.indices] = step.split.check.numeric
            parts = {"through_z": step.split.through_z, "from_kl": step.split.from_kl, "total": step.split.total}
            parts["numeric"] = numeric.reshape(step.split.total.shape)
            entry["split"] = {"images": len(step.split.total), "latents": L, **{k: self.keep(a) for k, a in parts.items()}}
            entry["split"]["error"] = step.split.check.error
        return entry

    def value(self, value):
        """One array: how it is shown, and, for a gradient, what was measured."""
        shape = tuple(int(n) for n in value.data.shape)
        entry = {
            "name": value.name, "role": value.role, "kind": value.kind, "note": value.note, "source": value.source,
            "shape": list(shape), "counts": self.size(value),
            **self.shown(value),
        }  # fmt: skip
        check = value.check
        if check and entry["view"] == "numbers" and len(check.indices) == value.data.size:
            entry["check"] = {"numeric": self.keep(_as_maps(check.numeric.reshape(shape), value.axes)), "rows": None}
        elif check:
            flat = value.data.reshape(-1)
            rows = [[self.where(value, int(i)), float(flat[i]), float(n)] for i, n in zip(check.indices, check.numeric, strict=True)]
            entry["check"] = {"numeric": None, "rows": rows}
        if check:
            entry["check"] |= {"error": check.error, "along": check.along, "size": check.size, "of": check.of}
            entry["check"]["checked"] = len(check.indices)
        return entry

    def shown(self, value):
        """What the script needs in order to draw an array: rows and columns, the names of both, and the numbers."""
        if value.data.ndim > 2:
            return self.maps(value)
        data, axes = np.atleast_1d(value.data), value.axes or ("",)
        ids = [np.array(self.ids(axis, n)) for axis, n in zip(axes, data.shape, strict=True)]
        note = ""
        if data.size > FULL:
            for i, axis in enumerate(axes):
                if axis not in COUNTS and data.shape[i] > CHOSEN:
                    units = self.most_active(axis, data.shape[i])
                    data, ids[i] = data.take(units, axis=i), ids[i][units]
                    note = f"{CHOSEN} of {value.data.shape[i]:,} units are shown: those most active for this image."
        pictures = self.trace.image_shape is not None and "pixel" in axes
        if data.size <= NUMBERS:
            view = "numbers"
        elif pictures:
            view = "tiles"
        else:
            view = "grid"
        if view == "tiles" and data.ndim == 2 and axes[0] == "pixel":
            data, axes, ids = data.T, axes[::-1], ids[::-1]
        if data.ndim == 1:
            data, axes, ids = data[None], ("", *axes), [np.arange(1), *ids]
        names = [self.counts(a, 1) if a else "" for a in axes]
        return {
            "view": view, "rows": data.shape[0], "columns": data.shape[1], "names": names, "chosen": note,
            "ids": [None if np.array_equal(i, np.arange(len(i))) else i.tolist() for i in ids],
            "tile": list(self.trace.image_shape) if view == "tiles" else None, "array": self.keep(data),
        }  # fmt: skip

    def maps(self, value):
        """The same for images or kernels of several channels: a tile for each of them."""
        shape, sides, data = value.data.shape, _sides(value.axes), _as_maps(value.data, value.axes)
        others = [(self.counts(axis, 1), shape[i]) for i, axis in enumerate(value.axes) if i not in sides]
        named = lambda at: ", ".join(f"{axis} {i}" for (axis, n), i in zip(others, at, strict=True) if n > 1)
        names, note = [named(at) for at in np.ndindex(*(n for _, n in others))], ""
        if data.size > FULL and len(data) > CHOSEN:
            note = f"{CHOSEN} of {len(data):,} tiles are shown: those of the largest numbers."
            most = np.sort(np.argsort(-np.abs(data).sum(axis=1), kind="stable")[:CHOSEN])
            data, names = data[most], [names[i] for i in most]
        view = "numbers" if data.size <= NUMBERS else "tiles"
        return {
            "view": view, "rows": data.shape[0], "columns": data.shape[1], "names": ["", "place"], "chosen": note,
            "ids": [names, None], "tile": [shape[i] for i in sides], "array": self.keep(data),
        }  # fmt: skip

    def most_active(self, axis, size):
        """Which units of a layer to show, in order of place: those with the largest outputs."""
        if axis not in self.chosen:
            made = [v for s in self.trace.steps if s.phase == "forward" for v in s.values if v.axes[-1:] == (axis,)]
            order = np.argsort(-np.abs(made[-1].data).sum(axis=0), kind="stable") if made else np.arange(size)
            self.chosen[axis] = np.sort(order[:CHOSEN])
        return self.chosen[axis]

    def keep(self, array):
        """The number of an array in the page's store, where equal arrays stand once."""
        raw = np.ascontiguousarray(array, "<f8").tobytes()
        if raw not in self.places:
            self.places[raw] = len(self.arrays)
            self.arrays.append(base64.b64encode(raw).decode())
        return self.places[raw]

    def size(self, value):
        """ "1 image × 784 pixels", or "" for what nobody has given names to"""
        pairs = zip(value.data.shape, value.axes, strict=True)
        return " × ".join(f"{n:,} {self.counts(axis, n)}" for n, axis in pairs) if any(value.axes) else ""

    def where(self, value, flat):
        """ "pixel 210, unit 17" """
        at = np.unravel_index(flat, value.data.shape)
        ids = [(axis, self.ids(axis, n)[i]) for axis, i, n in zip(value.axes, at, value.data.shape, strict=True) if n > 1]
        return ", ".join(i if axis == "code" else f"{self.counts(axis, 1)} {i}" for axis, i in ids) or "the number"

    def ids(self, axis, n):
        """What the places along an axis are called: 0, 1, 2 …, and in the encoder's output μ 0 … log σ² 0 …"""
        return [f"μ {i}" for i in range(n // 2)] + [f"log σ² {i}" for i in range(n // 2)] if axis == "code" else list(range(n))

    def counts(self, axis, n):
        """What an axis counts, in the singular or plural."""
        word = COUNTS.get(axis, "unit")
        return word if n == 1 else word + "s"


def _as_maps(array, axes):
    """Images or kernels (…) as (tiles, places): a row for each channel, or pair of channels; anything else as it is."""
    if array.ndim <= 2:
        return array
    sides = _sides(axes)
    return np.moveaxis(array, sides, (-2, -1)).reshape(-1, array.shape[sides[0]] * array.shape[sides[1]])


def _sides(axes):
    """Which two axes make a tile."""
    return [i for i, axis in enumerate(axes) if axis in SIDES] or [len(axes) - 2, len(axes) - 1]
