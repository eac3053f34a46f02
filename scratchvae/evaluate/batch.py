"""What a model is given of a batch: the fields that it reads."""

import numpy as np

from .. import gate
from ..data import gather
from ..errors import ConfigError, DataError, ShapeError


def fields_of(model, given):
    """[array (N, …)] of the fields that the model reads, in its order.   given: {name: array}, or images alone (N, D)

    Raises ShapeError, or DataError naming a field that is not there.
    """
    given = given if isinstance(given, dict) else {"images": given}
    if missing := [name for name in model.reads if name not in given]:
        raise DataError(f"{type(model).__name__} reads {missing[0]}, and the data have {', '.join(given)}")
    images = given.get("images")
    if "images" in model.reads and (getattr(images, "ndim", 0) != 2 or images.shape[1] != model.data_size):
        raise ShapeError(f"images must be rows (N, {model.data_size}), not {gate.shown(images)}")
    return [given[name] for name in model.reads]


def gathered(model, fields, rows):
    """[array (B, …)] of these rows of each field, from the model's memory: numbers in the model's dtype, whole ones in their own."""
    inputs, in_floats = [], getattr(model, "in_floats", ("images",))
    for name, array in zip(model.reads, fields, strict=True):
        dtype = model.dtype if name in in_floats or array.dtype.kind == "f" else array.dtype
        inputs.append(gather(array, rows, model.new(name, (len(rows), *array.shape[1:]), dtype)))
    return inputs


def terms_of(model, outputs):
    """The terms that forward returned, one (B,) for each of `model.terms`. Raises ConfigError for anything else."""
    if isinstance(outputs, tuple) and len(outputs) == len(model.terms) and all(np.ndim(term) == 1 for term in outputs):
        return outputs
    wanted = f"{type(model).__name__}.forward returns a tuple with (B,) for each of its terms, {', '.join(model.terms)}"
    raise ConfigError(f"{wanted}, not {gate.shown(outputs)}")
