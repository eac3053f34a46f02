"""write_html: a trace as one HTML file, with its data, style and script inside."""

import base64
import re
from html import escape
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...files import make_folder, write_text
from ..mathml import mathml

# Escapes all that it is given: a name that someone chose for a data set is text and nothing else.
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("assets")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
PAGES.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
NUMBERS = 64  # an array of up to this many entries is shown as a table of numbers, a larger one as a picture
FULL = 4096  # an array of up to this many entries is embedded whole; of a larger one, some units or channels
MOST = 24_000  # numbers of a vector that is embedded whole, or of images of which fewer channels are shown
CHOSEN = {"unit": 36, "channel": 12, "input channel": 6, "output channel": 6, "image": 4}  # so many of each
AGREES = 1e-9  # relative: what the page marks as agreement of a gradient and its numeric check
SIDES = ("row", "column")  # of an image or a kernel with channels
FOLDED = 48  # a model of more parts that compute is shown with those parts folded where it is not looked at


def write_html(trace, path):
    """Write the page of a trace to `path`, whole or not at all, making its folder if need be."""
    make_folder(Path(path).parent)
    write_text(path, html(trace))


def html(trace):
    """The page as text. It names no address: nothing is loaded."""
    paper = _Paper(trace)
    data = {"agrees": AGREES, "steps": [paper.step(step) for step in trace.steps], "arrays": paper.arrays}
    data["fold"] = len(trace.tree.nodes) > FOLDED
    return PAGES.get_template("microscope.html").render(trace=trace, tree=trace.tree, data=data)


class _Paper:
    """Turns steps into what the script reads, and keeps each array once."""

    def __init__(self, trace):
        self.trace, self.arrays, self.places, self.chosen, self.active = trace, [], {}, {}, {}
        for step in trace.steps:
            for value in step.values:
                if step.phase == "forward" and value.same:
                    self.active[value.same[-1]] = value  # the last one that has these units

    def step(self, step):
        return {
            "key": step.key, "phase": step.phase, "title": step.title, "place": step.place, "where": step.where,
            "words": prose(step.words), "text": step.text,
            "equations": [f"E{n}" for n in step.equations], "formulas": [mathml(f) for f in step.formulas],
            "sources": step.sources, "ran": step.ran, "values": [self.value(v) for v in step.values],
            "through": step.meetings[0].places if step.meetings else [],
            "meetings": [self.meeting(m) for m in step.meetings if m.total.data.size <= 2 * NUMBERS],
        }  # fmt: skip

    def meeting(self, meeting):
        """A sum: its parts and itself, number by number."""
        total, check = meeting.total, meeting.total.check
        numeric = np.full(total.data.size, np.nan)
        if check:
            numeric[check.indices] = check.numeric
        return {
            "name": total.name, "where": [self.where(total, i) for i in range(total.data.size)],
            "parts": [[label, self.keep(part)] for label, part in meeting.parts], "total": self.keep(total.data),
            "numeric": self.keep(numeric) if check else None, "error": check.error if check else None,
        }  # fmt: skip

    def value(self, value):
        """One array: how it is shown, and, for a gradient, what was measured."""
        signed = value.kind != "image" and value.data.size and value.data.min() < 0
        kind = "image" if value.kind == "image" else "signed" if signed else "positive"
        entry = {
            "name": value.name, "role": value.role, "kind": kind, "note": value.note, "source": value.source,
            "came": value.came, "shape": list(value.data.shape), "counts": size(value), **self.shown(value),
        }  # fmt: skip
        check = value.check
        if check and entry["view"] == "numbers" and len(check.indices) == value.data.size:
            entry["check"] = {
                "numeric": self.keep(as_rows(check.numeric.reshape(value.data.shape), self.sides(value))),
                "rows": None,
            }
        elif check:
            flat = value.data.reshape(-1)
            rows = [
                [self.where(value, int(i)), float(flat[i]), float(n)]
                for i, n in zip(check.indices, check.numeric, strict=True)
            ]
            entry["check"] = {"numeric": None, "rows": rows}
        if check:
            entry["check"] |= {
                "error": check.error,
                "along": check.along,
                "size": check.size,
                "checked": len(check.indices),
            }
        return entry

    def shown(self, value):
        """What the script needs in order to draw an array: rows and columns, the names of both, and the numbers."""
        data, axes, note = value.data, value.axes, ""
        ids = [np.arange(n) for n in data.shape]
        vector = data.ndim == 1 or (data.ndim == 2 and axes[0] == "image" and "pixel" not in axes)
        if data.size > (MOST if vector else FULL):
            for i, axis in enumerate(axes):
                some = self.some(value, i, data.shape)
                if some is not None:
                    note = f"{note}{' and ' * bool(note)}{len(some)} of {data.shape[i]:,} {axis}s"
                    data, ids[i] = data.take(some, axis=i), ids[i][some]
        tile, numbers, sides = self.tile(value), data.size <= NUMBERS, self.sides(value)
        rows = as_rows(data, sides)
        others = [
            i for i in range(data.ndim) if i not in (sides or ([data.ndim - 1] if data.ndim > 1 or vector else []))
        ]
        names = [self.names(axes, ids, others, at) for at in np.ndindex(*(data.shape[i] for i in others))]
        last = axes[-1] if axes and not sides else "place"
        columns = (
            None if not data.ndim or sides or np.array_equal(ids[-1], np.arange(len(ids[-1]))) else ids[-1].tolist()
        )
        return {
            "view": "numbers" if numbers else "tiles" if tile else "strip" if vector else "grid", "rows": rows.shape[0],
            "columns": rows.shape[1], "names": [names, last], "ids": columns, "tile": tile,
            "chosen": f"{note} are shown, those most active for this image." if note else "", "array": self.keep(rows),
        }  # fmt: skip

    def names(self, axes, ids, others, at):
        """What a row is called: "input channel 1, output channel 2"."""
        return ", ".join(f"{axes[i]} {ids[i][k]}" for i, k in zip(others, at, strict=True) if len(ids[i]) > 1)

    def sides(self, value):
        """Which axes make a picture: two sides, or one of pixels whose shape is known; [] where none do."""
        sides = [i for i, axis in enumerate(value.axes) if axis in SIDES]
        if len(sides) == 2:
            return sides
        return [value.axes.index("pixel")] if "pixel" in value.axes and self.trace.image_shape else []

    def tile(self, value):
        """The shape of the pictures that an array is made of, or None."""
        sides, shape = self.sides(value), self.trace.image_shape
        if len(sides) == 1:
            return list(shape if value.data.shape[sides[0]] == np.prod(shape) else shape[:2])
        return [value.data.shape[i] for i in sides] or None

    def some(self, value, i, shape):
        """Which places along an axis are shown, in their order, or None for all: those most active, the same ones in
        every step."""
        axis, most = value.axes[i], CHOSEN.get(value.axes[i], shape[i])
        places = np.prod([n for n, other in zip(shape, value.axes, strict=True) if other in (*SIDES, "pixel")])
        if axis in ("channel", "image"):
            most = max(1, min(most, int(MOST // places)))
        if shape[i] <= most:
            return None
        key = value.same[i] if value.same else None
        if key not in self.chosen or len(self.chosen[key]) < shape[i]:
            made = self.active.get(key)
            activity = np.abs(made.data).sum(axis=tuple(range(made.data.ndim - 1))) if made else np.zeros(shape[i])
            self.chosen[key] = np.argsort(-activity, kind="stable")
        return np.sort(self.chosen[key][:most])

    def keep(self, array):
        """The number of an array in the page's store, where equal arrays stand once: a large one in float32."""
        kind = "f" if np.size(array) > NUMBERS else "d"
        raw = kind + base64.b64encode(np.ascontiguousarray(array, f"<f{4 if kind == 'f' else 8}").tobytes()).decode()
        if raw not in self.places:
            self.places[raw] = len(self.arrays)
            self.arrays.append(raw)
        return self.places[raw]

    def where(self, value, flat):
        """ "pixel 210, unit 17" """
        at = np.unravel_index(flat, value.data.shape)
        return (
            ", ".join(f"{axis} {i}" for axis, i, n in zip(value.axes, at, value.data.shape, strict=True) if n > 1)
            or "the number"
        )


def size(value):
    """ "1 image × 784 pixels" """
    return " × ".join(f"{n:,} {axis}{'s' * (n != 1)}" for n, axis in zip(value.data.shape, value.axes, strict=True))


def as_rows(array, sides):
    """An array as (rows, columns): of pictures, whose axes are `sides`, a row for each."""
    if sides and array.ndim > 1:
        array = np.moveaxis(array, sides, range(array.ndim - len(sides), array.ndim))
        return array.reshape(int(np.prod(array.shape[: array.ndim - len(sides)])), -1)
    return array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)


def prose(text):
    """The book's words as HTML, with what stands between dollars as formulas."""
    parts = re.split(r"\$([^$]+)\$", text)
    plain = lambda part: re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", escape(part))
    return "".join(mathml(part, block=False) if i % 2 else plain(part) for i, part in enumerate(parts))
