"""What a kernel would silently misread is refused here, by name."""

import numpy as np

from ...errors import ShapeError
from . import launch


def check(operation, dtype=None, **arrays):
    """Each array is (array, shape), on the device, contiguous, all of one dtype, which is returned; None is passed over.

    Raises ShapeError.
    """
    for name, (array, shape) in arrays.items():
        if array is None:
            continue
        _on_device(operation, name, array)
        dtype = dtype or array.dtype
        _is(operation, name, array, shape, dtype)
        _contiguous(operation, name, array)
    if dtype not in launch.C_NAMES:
        raise ShapeError(f"{operation}: CUDA kernels compute in float32 or float64, not {dtype}")
    return dtype


def integers(operation, dtype, **arrays):
    """As check, for arrays of an integer dtype."""
    for name, (array, shape) in arrays.items():
        _on_device(operation, name, array)
        if array.dtype != dtype:
            raise ShapeError(f"{operation}: {name} must be {dtype}, not {array.dtype}")
        _is(operation, name, array, shape, dtype)
        _contiguous(operation, name, array)


def whole(operation, **arrays):
    """As check, for one array of whole numbers or of True and False.   → how kernels read it (whole.cuh): its bytes, below 0 with a sign"""
    ((name, (array, shape)),) = arrays.items()
    _on_device(operation, name, array)
    if array.dtype.kind not in "biu":
        raise ShapeError(f"{operation}: {name} must be whole numbers, not {array.dtype}")
    _is(operation, name, array, shape, array.dtype)
    _contiguous(operation, name, array)
    return np.int32(-array.dtype.itemsize if array.dtype.kind == "i" else array.dtype.itemsize)


def row_stride(operation, shape, dtype, **arrays):
    """As check, for arrays whose rows may lie apart, as the halves of one (B, 2L) array: their common distance in elements."""
    strides = set()
    for name, array in arrays.items():
        _on_device(operation, name, array)
        _is(operation, name, array, shape, dtype)
        if array.size == 0:
            return shape[1]
        rows, columns = (stride // dtype.itemsize for stride in array.strides)
        if shape[1] > 1 and columns != 1:
            raise ShapeError(f"{operation}: the rows of {name} must be contiguous, not strides {array.strides}: copy it first")
        strides.add(rows if shape[0] > 1 else shape[1])
    if len(strides) > 1:
        raise ShapeError(f"{operation}: {' and '.join(arrays)} must have the same distance between rows, not {sorted(strides)}")
    return strides.pop()


def _on_device(operation, name, array):
    expected = launch.place().array
    if not isinstance(array, expected):
        raise ShapeError(
            f"{operation}: {name} is a {_name(type(array))}, but CUDA kernels take {_name(expected)}: move it to the GPU first"
        )


def _is(operation, name, array, shape, dtype):
    if array.shape != tuple(shape):
        raise ShapeError(f"{operation}: {name} must be {tuple(shape)}, not {array.shape}")
    if array.dtype != dtype:
        raise ShapeError(f"{operation}: {name} is {array.dtype}, but the others are {dtype}")


def _contiguous(operation, name, array):
    if not array.flags.c_contiguous:
        raise ShapeError(f"{operation}: {name} must be contiguous, not a view with strides {array.strides}: copy it first")


def _name(kind):
    return f"{kind.__module__.split('.')[0].lstrip('_')}.{kind.__name__}"
