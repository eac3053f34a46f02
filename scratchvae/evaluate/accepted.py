"""What training and evaluation are given: a model, and the data it is to take, compared before anything is computed."""

from pathlib import Path

import numpy as np

from .. import gate
from ..data import Split
from ..data.assembly import to_dataset
from ..data.options import Options
from ..data.pixels import extent, to_rows
from ..errors import ConfigError, DataError

# What a model names (docs/architecture.md).
MODEL = ("kind", "terms", "reads", "objective", "config", "noise_columns", "data_size", "dtype")


def accepted(model, data):
    """The Dataset that `data` is, or that is made of an array of images with a tenth held out, when the model can take
    all of it.

    Raises ConfigError for what is no model, or of another width, and DataError, with the row and the column, for a
    number that its likelihood cannot explain. Each Split knows its extent, so this looks at no image again.
    """
    check_model(model)
    # by what it has: the museum mixes copies of these classes
    data = data if hasattr(data, "splits") else _made(model, data)
    for part, split in data.splits.items():
        if split.images.shape[1] != model.data_size:
            raise ConfigError(f"the model takes {model.data_size} pixels, and the images have {split.images.shape[1]}")
        where = f"{data.name}, {part} split"
        _compare(model, split.images, split.extent, where)
        for name, takes in getattr(model, "takes", {}).items():
            if name in split.fields:
                _compare_field(model, split.fields[name], takes, f"{where}: {name}")
    return data


KINDS = {
    "iu": "whole numbers",
    "biu": "whole numbers or true and false",
    "f": "floats",
    "fu": "floats, or bytes of which 255 is white",
}


def _compare_field(model, field, takes, where):
    """Raise DataError, with the shape or the first place at fault, for a field that the model cannot read."""
    if field.dtype.kind not in takes.kinds or field.shape[1:] not in takes.shapes:
        wanted = f"{KINDS.get(takes.kinds, takes.kinds)} ({', '.join(map(str, ('N', *takes.shapes[0])))})"
        raise DataError(f"{where}: {type(model).__name__} takes {wanted}, not {field.dtype} {field.shape}")
    low, high = (float(bound) for bound in (field.min(initial=0), field.max(initial=0)))
    if not takes.low <= low <= high <= takes.high:
        at = np.argwhere((field < takes.low) | (field > takes.high))[0]
        bounds = f"from {takes.low:g} to {takes.high:g}"
        raise DataError(f"{where}: {gate.place(at)} is {field[tuple(at)]}, and {type(model).__name__} knows {bounds}")


def _compare(model, images, found, where):
    like = f"the {model.config.get('likelihood', 'model’s own')} likelihood"
    gate.check_support(images, found, getattr(model, "support", gate.REAL), where, like)


def check_model(model):
    """Raise ConfigError unless this is an initialised model with all that one names."""
    if isinstance(model, type) or not hasattr(model, "buffer"):
        raise ConfigError(f"a model is needed, such as VAE(784) or a Module of your own, not {gate.shown(model)}")
    if model.buffer is None:
        raise ConfigError(f"{type(model).__name__} is not initialised: call initialise(seed) first")
    if missing := [name for name in MODEL if not hasattr(model, name)]:
        raise ConfigError(
            f"{type(model).__name__} names no {missing[0]}: a model that is trained has {', '.join(MODEL)}"
        )


def values_of(data, part="train"):
    """What the numbers of a split are, in words, for figures made from them."""
    low, high = data.splits[part].extent
    if low < 0 or high > 1:
        return "none (any numbers, as they are)"
    kind = (
        "colour pixels" if len(data.image_shape) == 3 else "values" if data.image_shape[0] == 1 else "grayscale pixels"
    )
    return f"none ({kind} in [0, 1])"


def _made(model, data):
    """A Dataset of an array of images, or a DataError that says how to give what it is."""
    if isinstance(data, Split):
        raise DataError(
            "a Split is one part of a data set: give the Dataset, or Dataset(name, (height, width), train, test, "
            "source)"
        )
    if isinstance(data, (str, Path)):
        raise DataError(f"{gate.shown(str(data))} is the name of a data set: give scratchvae.load_data of it")
    if isinstance(data, (tuple, dict)):
        raise DataError(
            "give one array of images, or Dataset(name, (height, width), Split(images, labels), Split(…), source)"
        )
    data = gate.array(data, "the array")
    rows = to_rows(data, "the array")
    _compare(model, rows, extent(rows, "the array"), "the array")  # before it is split, so that its own rows are named
    return to_dataset(
        "array", {"train": (data, None, "the array")}, "An array made in Python", Options(), support=gate.REAL
    )
