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
    """[array (B, …)] of these rows of each field, from the model's memory: numbers in the model's dtype, whole ones in
    their own."""
    inputs = []
    for name, array in zip(model.reads, fields, strict=True):
        inputs.append(gather(array, rows, model.new(name, (len(rows), *array.shape[1:]), _dtype(model, name, array))))
    return inputs


def resident(model, fields):
    """The fields on the model's GPU: bytes and float32 as they are, other numbers that the model takes as floats in its
    dtype."""
    kept = np.uint8, np.float32
    return [
        model.backend.put(
            np.ascontiguousarray(array, array.dtype if array.dtype in kept else _dtype(model, name, array))
        )
        for name, array in zip(model.reads, fields, strict=True)
    ]


def gathered_there(model, fields, order, batch, size, rows):
    """As gathered, of `rows` rows of the batch-th `size` in an order (N,), all on the GPU: launches alone."""
    inputs = []
    for name, array in zip(model.reads, fields, strict=True):
        out = model.new(name, (rows, *array.shape[1:]), _dtype(model, name, array))
        model.ops.gather_batch(array.reshape(len(array), -1), order, out.reshape(rows, -1), batch, size)
        inputs.append(out)
    return inputs


def _dtype(model, name, array):
    """Of a batch of a field: the model's, or that of whole numbers."""
    as_floats = name in getattr(model, "in_floats", ("images",)) or array.dtype.kind == "f"
    return model.dtype if as_floats else array.dtype


def terms_of(model, outputs):
    """The terms that forward returned, one (B,) for each of `model.terms`. Raises ConfigError for anything else."""
    if isinstance(outputs, tuple) and len(outputs) == len(model.terms) and all(np.ndim(term) == 1 for term in outputs):
        return outputs
    wanted = f"{type(model).__name__}.forward returns a tuple with (B,) for each of its terms, {', '.join(model.terms)}"
    raise ConfigError(f"{wanted}, not {gate.shown(outputs)}")
