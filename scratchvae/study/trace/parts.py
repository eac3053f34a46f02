"""What a trace is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .numeric import Check


@dataclass
class Value:
    """One array of a step, float64.

    name: as on the page · role: "in" or "out" · axes: what each axis counts ("image", "pixel", "latent", "row",
    "column", "channel", "unit") · same: a key for each axis; axes of one key are the same axis, in whatever array ·
    kind: "signed", or "image" for pixels in [0, 1] · check: for a gradient, its measured twin · note: one line under
    it · source: key of the step that made it, when a later step is given it · came: the field that it is, of what came
    in.
    """

    name: str
    role: str
    axes: tuple
    data: np.ndarray
    kind: str = "signed"
    check: Check | None = None
    note: str = ""
    source: str | None = None
    same: tuple = ()
    came: str | None = None


@dataclass
class Meeting:
    """Arrays of one shape that are added up.   parts: [(what it comes through, array)] · total: the Value that is
    their sum · places: in the tree, that the parts come through"""

    parts: list
    total: Value
    places: list


@dataclass
class Step:
    """One moment of the training step.

    key: its address, such as "backward-encoder.0" · phase: "forward", "backward" or "update" · place: in the tree ·
    text: what there is to say beside the book · where: the module's path · words: the book's, with $formulas$ in them
    · formulas: LaTeX · function: what ran, or, where `ran` is False, where training does the same · sources: [(where,
    code)] of it and of what it calls · meetings: the sums that it makes of gradients.
    """

    key: str
    phase: str
    title: str
    place: str
    text: str
    where: str = ""
    words: str = ""
    equations: tuple = ()
    formulas: tuple = ()
    function: Callable | None = None
    sources: list = field(default_factory=list)
    values: list = field(default_factory=list)
    meetings: list = field(default_factory=list)
    ran: bool = True

    def value(self, name):
        """The Value of that name. Raises KeyError."""
        for value in self.values:
            if value.name == name:
                return value
        raise KeyError(f"{self.key} has no {name!r}: it has {', '.join(v.name for v in self.values)}")

    @property
    def checks(self):
        """Every Check of this step."""
        return [v.check for v in self.values if v.check]


@dataclass
class Trace:
    """One training step, moment by moment.

    loss, loss_after: the objective before and after the update, same images and same noise · worst: the largest
    relative error of all numeric checks · notes: what a reader must know about these numbers.
    """

    title: str
    steps: list
    tree: object
    image_shape: tuple | None
    loss: float
    loss_after: float
    notes: list

    def step(self, key):
        """The Step with that key. Raises KeyError."""
        for step in self.steps:
            if step.key == key:
                return step
        raise KeyError(f"no step {key!r} among {', '.join(s.key for s in self.steps)}")

    @property
    def worst(self):
        return max(
            (error for s in self.steps for c in s.checks for error in (c.error, c.along[2] if c.along else 0.0)),
            default=0.0,
        )

    def to_dict(self):
        """Its outline as plain values: steps, equations, shapes, checks; of the arrays, those of up to 64 numbers."""
        return {
            "title": self.title, "loss": self.loss, "loss_after": self.loss_after, "worst_relative_error": self.worst,
            "notes": list(self.notes), "steps": [_outline(step) for step in self.steps],
        }  # fmt: skip


def _outline(step):
    values = [
        {
            "name": v.name, "role": v.role, "shape": list(v.data.shape),
            **({"data": v.data.tolist()} if v.data.size <= 64 else {}),
            **({"relative_error": v.check.error, "checked": len(v.check.indices)} if v.check else {}),
        }
        for v in step.values
    ]  # fmt: skip
    keys = ("key", "phase", "title")
    return {**{k: getattr(step, k) for k in keys}, "equations": [f"E{n}" for n in step.equations], "values": values}
