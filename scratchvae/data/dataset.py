"""What a data set is, and how a batch is taken from it."""

import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from scratchvae import gate
from scratchvae.data.mapped import Rows, pick
from scratchvae.data.pixels import extent, to_field, to_labels, to_rows
from scratchvae.data.scaling import undo
from scratchvae.data.split import VALIDATION, hold_out
from scratchvae.data.told import told
from scratchvae.errors import DataError, ShapeError, printable

BLOCK = 1 << 24  # bytes that are hashed at a time


@dataclass(frozen=True, eq=False, init=False)
class Split:
    """One part of a data set. What is given may be anything that holds numbers: arrays, lists, tensors, frames
    (`gate.array`).

        Split(images, labels, targets=clean, points=where_the_joints_are)

    images   (N, D) uint8, where 255 is white, or float32, all finite; one image per row. (N, H, W) is flattened, bool
             becomes uint8 and any other number float32. What a model takes, such as [0, 1], is compared when it meets
             the data
    labels   (N,) uint8 or int64, or None where there are none. Names are given numbers
    classes  the names of labels 0, 1, … in sorted order, or ()
    others   further fields by name, (N, …) of any shape: floats become float32, all finite; whole numbers and bools
             stay
    fields   {"images": …, "labels": … where there are any, and the others}: what a model may read of a batch

    Raises DataError naming the first row and column at fault.
    """

    fields: dict[str, np.ndarray]
    classes: tuple[str, ...]

    def __init__(self, /, images, labels=None, classes=(), **others):
        gate.instance("classes", classes, (tuple, list, np.ndarray), "a list of names")
        classes = tuple(map(str, classes))
        if not isinstance(images, Rows):  # which were looked at as a whole
            images = to_rows(images, "a split")
        fields, labels = {"images": images}, to_labels(labels, len(images), "a split")
        if labels is not None and labels.dtype.kind == "U":
            found, labels = np.unique(labels, return_inverse=True)
            classes = tuple(found.tolist())
        if classes and (labels is None or labels.min() < 0 or labels.max() >= len(classes)):
            raise DataError(
                f"a split: {len(classes)} classes need labels from 0 to {len(classes) - 1}: give the names as labels"
            )
        if labels is not None:
            fields["labels"] = labels
        fields |= {name: to_field(name, of, len(images), "a split") for name, of in others.items()}
        vars(self).update(fields=fields, classes=classes)
        if not isinstance(images, Rows):
            _ = self.extent  # looked at here and once, so that no NaN comes in

    @property
    def images(self):
        return self.fields["images"]

    @property
    def labels(self):
        return self.fields.get("labels")

    @property
    def others(self):
        """The fields beside images and labels, in the order of their names."""
        return {name: self.fields[name] for name in sorted(self.fields) if name not in ("images", "labels")}

    @cached_property
    def extent(self):
        """Bounds (lowest, highest) of what a model sees of the images, uint8 counting as value / 255: of a part, those
        of the whole."""
        return extent(self.images, "a split")

    def take(self, rows):
        """The Split of these rows, in this order; of what is mapped none are read."""
        if not isinstance(rows, slice):
            rows = gate.index("rows", rows, len(self.images))
        fields = {name: array[rows] if name == "labels" else pick(array, rows) for name, array in self.fields.items()}
        return self._with(fields=fields)

    def named(self, classes):
        """The same Split with its labels' names counted among these; without labels, as it is."""
        if self.labels is None or self.classes == classes:
            return self
        number = {name: i for i, name in enumerate(classes)}
        labels = np.array([number[name] for name in self.classes])[self.labels]
        return self._with(fields=self.fields | {"labels": labels}, classes=classes)

    def _with(self, **changed):
        """A Split that is not looked at again: a few dark images of one that was are no fault."""
        part = object.__new__(Split)
        vars(part).update(vars(self) | changed)
        return part


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test images of one kind.

    name         what `load` was asked for, or the name of the file or folder
    image_shape  (height, width), or (height, width, 3) in colour, or (1, width) for the rows of a table; D is their
                 product
    source       one sentence: where the images come from and how they were split
    location     what `load` takes to find it again from anywhere: a name, or an absolute path; "" for data made in
                 Python
    validation   a third split, to choose a model by; None unless asked for (`with_validation`)
    preparation  all that was done to the data, as JSON can hold it; `load_again` does the same again
    """

    name: str
    image_shape: tuple[int, ...]
    train: Split
    test: Split
    source: str
    location: str = ""
    validation: Split | None = None
    preparation: dict = field(default_factory=dict)

    def __post_init__(self):
        for name in ("name", "source", "location"):
            gate.instance(name, getattr(self, name), str, "text")
        for name in ("name", "source"):  # of a file that may be called anything, on their way to titles and pages
            object.__setattr__(self, name, printable(getattr(self, name)))
        gate.instance("preparation", self.preparation, dict, "a dict")
        gate.instance("image_shape", self.image_shape, (tuple, list), "(height, width) or (height, width, 3)")
        object.__setattr__(self, "image_shape", tuple(gate.whole("image_shape", n) for n in self.image_shape))
        for part, split in {"train": self.train, "test": self.test, **self.splits}.items():
            if not isinstance(split, Split):
                raise DataError(
                    f"{self.name}: {part} must be a Split, not {gate.shown(split)}: give Split(images, labels)"
                )
        if len({bool(split.classes) for split in self.splits.values() if split.labels is not None}) == 2:
            raise DataError(
                f"{self.name}: the labels of one split are names and of the other numbers: give all the same kind"
            )
        classes = tuple(sorted({name for split in self.splits.values() for name in split.classes}))
        for part, split in self.splits.items():
            object.__setattr__(self, part, split.named(classes))
        if classes:
            object.__setattr__(self, "preparation", {**self.preparation, "classes": list(classes)})
        size, of = math.prod(self.image_shape), " x ".join(map(str, self.image_shape))
        for part, split in self.splits.items():
            if split.images.shape[1] != size:
                raise DataError(
                    f"{self.name}: the {part} images have {split.images.shape[1]} pixels, but {of} images have {size}: "
                    "give all splits the same image size"
                )
            for name in sorted({*split.others, *self.train.others}):
                here, there = _kind(split, name), _kind(self.train, name)
                if here != there:
                    raise DataError(
                        f"{self.name}: field {name}: {here} in the {part} split, and {there} in the training split: "
                        "give all splits the same fields"
                    )

    @property
    def splits(self):
        """{"train": Split, "test": Split} and, where there is one, "validation"."""
        parts = {"train": self.train, "test": self.test, "validation": self.validation}
        return {name: split for name, split in parts.items() if split is not None}

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over dtype, shape and bytes of all images, and of further fields in the order of their names;
        computed once, and never on a copy of more than BLOCK bytes.

        A run remembers it and refuses to resume on other data. Labels are left out, as most models read none: see
        `note`.
        """
        digest = hashlib.sha256(repr(tuple(self.image_shape)).encode())
        for split in self.splits.values():
            for name, array in {"": split.images, **split.others}.items():
                digest.update(f"{name}{array.dtype.name} {array.shape}".encode())
                step = max(1, BLOCK // (math.prod(array.shape[1:]) * array.dtype.itemsize))
                for start in range(0, len(array), step):
                    digest.update(np.ascontiguousarray(array[start : start + step]).data)
        return digest.hexdigest()

    @cached_property
    def labels_fingerprint(self) -> str:
        """sha256 (hex) over all labels and the names of their classes."""
        digest = hashlib.sha256(repr([split.classes for split in self.splits.values()]).encode())
        for split in self.splits.values():
            digest.update(repr(None if split.labels is None else np.asarray(split.labels).tolist()).encode())
        return digest.hexdigest()

    def with_validation(self, fraction=0.1, seed=0):
        """The same data with this fraction of the training images, of every label alike, set apart as validation.

        Raises DataError when there is a validation split already, or too few images.
        """
        if self.validation is not None:
            raise DataError(f"{self.name}: has a validation split of {len(self.validation.images)} images already")
        kept, held = hold_out(self.train.labels, len(self.train.images), fraction, seed, VALIDATION)
        train, validation = self.train.take(kept), self.train.take(held)
        note = {"fraction": fraction, "seed": seed, "images": len(held), "of": len(self.train.images)}
        return replace(self, train=train, validation=validation, preparation={**self.preparation, "validation": note})

    @property
    def told(self):
        """What was done to the data, in lines of text."""
        return told(self.preparation)

    def undo(self, x):
        """Numbers in the units of the table they came from: x · scale + offset. Images come back as they are.
        x (N, W) → (N, W)"""
        return undo(self.preparation, x)

    def note(self, reads=()):
        """What a run keeps of its data, as JSON can hold it: `load_again` finds the same images by it.
        reads: what the model does"""
        labels = {"labels": self.labels_fingerprint} if "labels" in reads else {}
        return labels | {
            "name": self.name, "location": self.location, "fingerprint": self.fingerprint,
            "image_shape": list(self.image_shape),
            "splits": {name: len(split.images) for name, split in self.splits.items()}, "preparation": self.preparation,
        }

    def is_of(self, note):
        """Whether these are the data of a note: the same images, fields and, where they were read, labels."""
        return (
            self.fingerprint == note["fingerprint"]
            and note.get("labels", self.labels_fingerprint) == self.labels_fingerprint
        )


def _kind(split, name):
    """The type and shape of a field, in words."""
    found = split.others.get(name)
    return "none" if found is None else f"{found.dtype} ({', '.join(['N', *map(str, found.shape[1:])])})"


def gather(array, rows, out):
    """out[i] = array[rows[i]], for the images of a batch or any other field.   array (N, …) · rows (B,) → out (B, …)

    Into floats, uint8 is divided by 255 (divided, not multiplied by 1/255: so each is the float nearest to k/255, and
    any backend that divides gets the same bits), and other numbers are copied. Into whole numbers, as of labels and
    class maps, only whole numbers that fit are copied, and uint8 as it is. `array` is never converted as a whole: the
    only temporary is a batch of its own type, so two threads may gather at once into different `out`.

    rows  integers in [0, N), in any order, repeats allowed
    out   overwritten and returned

    Raises ShapeError if `out` does not fit, DataError if a row does not exist.
    """
    if not isinstance(out, np.ndarray) or not getattr(array, "shape", ()):
        raise ShapeError(
            f"gather takes rows of an array (N, …) into one (B, …), not {gate.shown(array)} into {gate.shown(out)}"
        )
    rows = rows if isinstance(rows, np.ndarray) else gate.array(rows, "rows")
    holds = out.dtype.kind == "f" or (out.dtype.kind in "biu" and np.can_cast(array.dtype, out.dtype))
    fits = array.dtype.kind in "biuf" and holds
    if out.shape != (rows.size, *array.shape[1:]) or not fits or rows.ndim != 1:
        raise ShapeError(
            f"gathering rows {rows.shape} of {array.dtype} {array.shape} does not go into {out.dtype} {out.shape}: "
            "make `out` with np.empty((len(rows), *array.shape[1:]), "
            f"np.float32){' or its own dtype' * (array.dtype.kind != 'f')}"
        )
    if rows.size == 0:
        return out
    if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(array):
        raise DataError(f"rows must be integers from 0 to {len(array) - 1}, one per image, not {gate.shown(rows)}")
    # The rows are known to exist, so "clip" clips nothing; it spares take() a second buffer.
    if array.dtype == out.dtype:
        return np.take(array, rows, axis=0, out=out, mode="clip")
    np.copyto(out, np.take(array, rows, axis=0, mode="clip"))
    if array.dtype == np.uint8 and out.dtype.kind == "f":
        np.divide(out, 255, out=out)
    return out
