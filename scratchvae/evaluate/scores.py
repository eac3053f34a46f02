"""How well a model does what it is for, beside its loss: a table for each way to measure it, by what the model has."""

from dataclasses import dataclass

import numpy as np

from .. import gate
from ..data.stick_figures import joint_names, size_of
from ..errors import counted
from .accepted import accepted
from .key_points import pck

PARTS = 0.1, 0.2  # of the figure's size, within which a joint counts as found


@dataclass(frozen=True, eq=False)
class Scores:
    """A number for each of `rows` in each of `columns`, and all that one must know to compare it with another.

    values float64 (rows, columns), NaN where there is nothing to measure
    """

    quantity: str  # "PCK@0.1"
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray
    said: str  # in a sentence: what a number is
    data: str
    split: str
    images: int

    def to_dict(self):
        named = {
            row: {column: None if np.isnan(v) else float(v) for column, v in zip(self.columns, values, strict=True)}
            for row, values in zip(self.rows, self.values, strict=True)
        }
        about = {"said": self.said, "data": self.data, "split": self.split, "images": self.images}
        return {"quantity": self.quantity, "values": named, **about}

    def __str__(self):
        left, width = max(map(len, (self.quantity, *self.rows))) + 2, max(8, *(len(column) + 2 for column in self.columns))
        lines = [self.quantity.ljust(left) + "".join(column.rjust(width) for column in self.columns)]
        for row, values in zip(self.rows, self.values, strict=True):
            lines.append(row.ljust(left) + "".join(("–" if np.isnan(v) else f"{v:.3f}").rjust(width) for v in values))
        return "\n".join([*lines, self.said, f"{self.data}, {self.split} split, {counted(self.images, 'image')}"])


def judge(model, dataset, split="test"):
    """[Scores] of what the model is for, or [] where its loss says all: of one that finds `points`, PCK of each joint and stage.

    Raises ConfigError and DataError, as `measure`.
    """
    dataset = accepted(model, dataset)
    part = dataset.splits[gate.choice("split", split, dataset.splits)]
    finds_joints = "points" in model.reads and hasattr(model, "points")
    return key_point_scores(model, dataset, split, part) if finds_joints else []


def key_point_scores(model, dataset, split, part):
    """PCK of each joint that is seen, and the mean over joints, for each stage and each of PARTS of the figure's size."""
    points, visible = part.fields["points"], part.fields["visible"]
    reference, called = size_of(dataset, points)
    found = model.points(part.images / np.float32(255) if part.images.dtype == np.uint8 else part.images)
    stages, scores = range(found.shape[1]), []
    rows, columns = (*joint_names(dataset, points), "mean"), tuple(f"stage {k + 1}" for k in stages)
    for alpha in PARTS:
        values = np.stack([pck(found[:, k], points, reference, alpha, visible) for k in stages], axis=1)
        seen = ~np.isnan(values[:, 0])
        values = np.vstack([values, values[seen].mean(axis=0) if seen.any() else values[0]])
        said = f"share of joints that are seen and found within {alpha:g} of {called}"
        scores.append(Scores(f"PCK@{alpha:g}", rows, columns, values, said, dataset.name, split, len(points)))
    return scores
