"""How well a model does what it is for, beside its loss: a table for each way to measure it, by what the model has."""

from dataclasses import dataclass

import numpy as np

from .. import gate
from ..data.generated import segment_names
from ..data.stick_figures import joint_names, size_of
from ..errors import counted
from .accepted import accepted
from .denoising import psnr
from .key_points import pck
from .segmentation import confusion, dice, iou

PARTS = 0.1, 0.2  # of the figure's size, within which a joint counts as found


@dataclass(frozen=True, eq=False)
class Scores:
    """A number for each of `rows` in each of `columns`, and all that one must know to compare it with another.

    values float64 (rows, columns), NaN where there is nothing to measure, infinite where nothing differs
    """

    quantity: str  # "PCK@0.1"
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray
    said: str  # in a sentence: what a number is
    data: str
    split: str
    images: int
    digits: int = 3  # after the point, in text

    def to_dict(self):
        named = {
            row: {column: float(v) if np.isfinite(v) else None for column, v in zip(self.columns, values, strict=True)}
            for row, values in zip(self.rows, self.values, strict=True)
        }
        about = {"said": self.said, "data": self.data, "split": self.split, "images": self.images}
        return {"quantity": self.quantity, "values": named, **about}

    def __str__(self):
        left, width = (
            max(map(len, (self.quantity, *self.rows))) + 2,
            max(8, *(len(column) + 2 for column in self.columns)),
        )
        lines = [self.quantity.ljust(left) + "".join(column.rjust(width) for column in self.columns)]
        for row, values in zip(self.rows, self.values, strict=True):
            told = (f"{v:.{self.digits}f}".replace("nan", "–").replace("inf", "∞") for v in values)
            lines.append(row.ljust(left) + "".join(text.rjust(width) for text in told))
        return "\n".join([*lines, self.said, f"{self.data}, {self.split} split, {counted(self.images, 'image')}"])


def judge(model, dataset, split="test"):
    """[Scores] of what the model is for, or [] where its loss says all: of one that finds `points`, PCK of each joint
    and stage; of one that is trained towards `segments`, Dice and IoU of each class, towards `clean` images, PSNR of
    those of each label.

    Raises ConfigError and DataError, as `measure`.
    """
    dataset = accepted(model, dataset)
    part = dataset.splits[gate.choice("split", split, dataset.splits)]
    if "points" in model.reads and hasattr(model, "points"):
        return key_point_scores(model, dataset, split, part)
    if not hasattr(model, "predict"):
        return []
    return [of(model, dataset, split, part) for field, of in TOWARDS.items() if field in model.reads]


def key_point_scores(model, dataset, split, part):
    """PCK of each joint that is seen, and the mean over joints, for each stage and each of PARTS of the figure's
    size."""
    points, visible = part.fields["points"], part.fields["visible"]
    reference, called = size_of(dataset, points)
    found = model.points(_floats(part.images))
    stages, scores = range(found.shape[1]), []
    rows, columns = (*joint_names(dataset, points), "mean"), tuple(f"stage {k + 1}" for k in stages)
    for alpha in PARTS:
        values = np.stack([pck(found[:, k], points, reference, alpha, visible) for k in stages], axis=1)
        seen = ~np.isnan(values[:, 0])
        values = np.vstack([values, values[seen].mean(axis=0) if seen.any() else values[0]])
        said = f"share of joints that are seen and found within {alpha:g} of {called}"
        scores.append(Scores(f"PCK@{alpha:g}", rows, columns, values, said, dataset.name, split, len(points)))
    return scores


def segment_scores(model, dataset, split, part):
    """Dice and IoU of each class, and their mean over all but the ground."""
    classes, truth = model.config["classes"], part.fields["segments"]
    counts = confusion(model.predict(_floats(part.images)), truth, classes)
    values = np.stack([dice(counts), iou(counts)], axis=1)
    there = values[1:][~np.isnan(values[1:, 0])]
    values = np.vstack([values, there.mean(axis=0) if len(there) else [np.nan] * 2])
    rows = *segment_names(dataset, classes), "mean without ground"
    said = (
        "2 |P ∩ T| / (|P| + |T|) and |P ∩ T| / |P ∪ T|: P are the pixels called a class and T those of it, of all "
        "images together"
    )
    return Scores("class", rows, ("Dice", "IoU"), values, said, dataset.name, split, len(truth))


def clean_scores(model, dataset, split, part):
    """PSNR of the images as they are given and as the model cleans them, the mean over those of each label and over
    all."""
    clean, images, labels = _floats(part.fields["clean"]), _floats(part.images), part.labels
    each = np.stack([psnr(pixels.reshape(clean.shape), clean) for pixels in (images, model.predict(images))], axis=1)
    found = [] if labels is None else np.unique(labels).tolist()
    rows = *(part.classes[k] if part.classes else str(k) for k in found), "mean"
    values = np.stack([*(each[labels == k].mean(axis=0) for k in found), each.mean(axis=0)])
    said = "peak signal-to-noise ratio to the clean image, in dB, mean over the images of a label"
    return Scores("PSNR", rows, ("given", "cleaned"), values, said, dataset.name, split, len(clean), digits=2)


TOWARDS = {"segments": segment_scores, "clean": clean_scores}


def _floats(images):
    """As a model takes them: bytes divided by 255."""
    return images / np.float32(255) if images.dtype == np.uint8 else images
