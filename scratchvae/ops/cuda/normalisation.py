"""Normalisation: twins of ops.numpy.normalisation. x is (R, P, G, D), contiguous: the view makes the kind."""

from math import ceil

import numpy as np

from ..numpy.normalisation import EPSILON
from .check import check
from .launch import C_NAMES, THREADS, int32, launch, per_element, width
from .tiling import FILL

_FILE = "normalisation.cu"
FEW = 32  # pixels of a row, up to which the sums over a group need no sums over stretches of them first
MANY = 1024  # terms, from which on a channel's sum does
LEAST = 16  # pixels of a stretch: so what stretches leave behind takes an eighth of an array, or less


def normalise(x, scale, shift, out, xhat, mean, rstd, eps=EPSILON):
    """y = scale · x̂ + shift,  x̂ = (x − mean) · rstd,  rstd = 1/√(variance + ε) (E71), in two launches or three.

    x (R, P, G, D) · scale, shift (G, D) → writes mean, rstd (R, G), xhat and out as x
    """
    (R, P, G, D), per_group = x.shape, x.shape[::2]
    dtype = check("normalise", x=(x, x.shape), mean=(mean, per_group), rstd=(rstd, per_group))
    means, squares, S = x, None, P
    if P > FEW:
        means, squares, S = _stretches("channel_moments", dtype, (x,), R, P, G * D, out)
    numbers = (*map(int32, (R, P, S, G, D)), dtype.type(eps))
    _groups("group_moments", dtype, R * G, S * D, (means, squares, mean, rstd, *numbers))
    return _standardise("normalise", x, mean, rstd, scale, shift, out, xhat, G, D)


def normalise_backward(dY, xhat, rstd, scale, dX, dscale, dshift, work):
    """dx = rstd · (dx̂ − mean(dx̂) − x̂ · mean(dx̂ x̂)),  dx̂ = dY · scale;  dscale = Σ dY x̂,  dshift = Σ dY (E72).

    Writes dX as dY (R, P, G, D), dscale, dshift (G, D). work is scratch as dY.
    """
    (R, P, G, D), shape = dY.shape, dY.shape
    dtype = check(
        "normalise_backward",
        dY=(dY, shape),
        xhat=(xhat, shape),
        work=(work, shape),
        scale=(scale, (G, D)),
        rstd=(rstd, (R, G)),
    )
    sums, products, S = _channels(dY, xhat, R, P, G * D, dscale, dshift, work)
    behind = 0 if products is None else 2 * sums.size
    level = work.reshape(-1)[behind : behind + R * G]
    along = work.reshape(-1)[behind + R * G : behind + 2 * R * G] if P * D > 1 else None  # of one number, x̂ is 0
    _group_sums(dtype, (sums, products, xhat, scale, level, along), R, S, G, D)
    _standardise_backward("normalise_backward", dY, xhat, rstd, scale, level, along, dX, G, D)
    return dX


def standardise(x, mean, rstd, scale, shift, out, xhat):
    """y = scale · x̂ + shift,  x̂ = (x − mean) · rstd, with a mean and rstd found before (E71): batch norm in use.

    x (R, P, G, D) · mean, rstd, scale, shift (G, D) → writes xhat and out as x
    """
    check("standardise", mean=(mean, x.shape[2:]), rstd=(rstd, x.shape[2:]))
    return _standardise("standardise", x, mean, rstd, scale, shift, out, xhat, 0, 1)


def standardise_backward(dY, xhat, rstd, scale, dX, dscale, dshift):
    """dx = dY · scale · rstd,  dscale = Σ dY x̂,  dshift = Σ dY (E72): mean and rstd are constants.

    Shapes as in normalise_backward.
    """
    R, P, G, D = dY.shape
    check("standardise_backward", dY=(dY, dY.shape), xhat=(xhat, dY.shape), rstd=(rstd, (G, D)))
    _channels(dY, xhat, 1, R * P, G * D, dscale, dshift, dX)
    _standardise_backward("standardise_backward", dY, xhat, rstd, scale, None, None, dX, 0, 1)
    return dX


def follow(mean, rstd, running_mean, running_variance, pull, dmean, dvariance, eps=EPSILON):
    """dr = pull · (r − that of the batch), what running statistics fall by.   all (C,) → writes dmean, dvariance"""
    shape = running_mean.shape
    dtype = check(
        "follow", mean=(mean, shape), rstd=(rstd, shape), running_mean=(running_mean, shape),
        running_variance=(running_variance, shape), dmean=(dmean, shape), dvariance=(dvariance, shape),
    )  # fmt: skip
    numbers = dtype.type(pull), dtype.type(eps), dmean, dvariance, int32(running_mean.size)
    per_element(
        _FILE, f"follow<{C_NAMES[dtype]}>", running_mean.size, (mean, rstd, running_mean, running_variance, *numbers)
    )


def _channels(dY, xhat, R, P, C, dscale, dshift, scratch):
    """Writes dscale and dshift.   → Σ dY and Σ dY x̂ (R, S, C), and S; where pixels are few, dY itself, None, and P"""
    dtype = check("normalise_backward", dY=(dY, dY.shape), dscale=(dscale, dY.shape[2:]), dshift=(dshift, dY.shape[2:]))
    sums, products, S = found = (dY, None, P)
    if P > FEW:
        sums, products, S = found = _stretches("channel_sums", dtype, (dY, xhat), R, P, C, scratch)
    terms = R * S
    if P <= FEW and terms > MANY:
        sums, products, terms = _stretches("channel_sums", dtype, (dY, xhat), 1, R * P, C, scratch)
    _group_sums(dtype, (sums, products, xhat, None, dshift, dscale), 1, terms, C, 1)
    return found


def _stretches(kernel, dtype, given, R, P, C, scratch):
    """Two sums for each channel over each stretch of pixels, (R, S, C) at the beginning of scratch.   → the two, and S"""
    channels = min(C, 32)
    tiles = ceil(C / channels)
    S = max(1, min(P // LEAST, ceil(2 * FILL / max(1, R * tiles))))
    size = R * S * C
    parts = scratch.reshape(-1)[:size], scratch.reshape(-1)[size : 2 * size]
    arguments = *given, *parts, *map(int32, (P, C, S, channels))
    launch(_FILE, f"{kernel}<{C_NAMES[dtype]}>", (R * S * tiles,), (THREADS,), arguments)
    return *parts, S


def _group_sums(dtype, arrays, R, S, G, D):
    """arrays: sums, products or None, xhat, weight or None, and where the two sums go"""
    sums, products, xhat, *others = arrays
    arguments = sums, products, xhat if products is None else None, *others, *map(int32, (R, S, G, D))
    _groups("group_sums", dtype, R * G, S * D, arguments)


def _groups(kernel, dtype, groups, terms, arguments):
    int32(terms)  # counted in 32 bits
    launch(_FILE, f"{kernel}<{C_NAMES[dtype]}>", (ceil(groups * 32 / THREADS),), (THREADS,), arguments)


def _standardise(operation, x, mean, rstd, scale, shift, out, xhat, of_row, run):
    shape, channels = x.shape, x.shape[2:]
    dtype = check(
        operation, x=(x, shape), scale=(scale, channels), shift=(shift, channels), out=(out, shape), xhat=(xhat, shape)
    )
    V, numbers = _sizes(x, of_row, run, x, scale, shift, out, xhat)
    arguments = x, mean, rstd, scale, shift, out, xhat, *numbers
    per_element(_FILE, f"standardise<{C_NAMES[dtype]}, {V}>", x.size // V, arguments)
    return out


def _standardise_backward(operation, dY, xhat, rstd, scale, level, along, dX, of_row, run):
    dtype = check(operation, dY=(dY, dY.shape), xhat=(xhat, dY.shape), scale=(scale, dY.shape[2:]), dX=(dX, dY.shape))
    V, numbers = _sizes(dY, of_row, run, dY, xhat, scale, dX)
    inverse = dtype.type(1 / max(1, dY.shape[1] * dY.shape[3]))
    arguments = dY, xhat, rstd, scale, level, along, inverse, dX, *numbers
    per_element(_FILE, f"standardise_backward<{C_NAMES[dtype]}, {V}>", dY.size // V, arguments)


def _sizes(x, of_row, run, *arrays):
    _, P, G, D = x.shape
    numbers = np.int64(x.size), np.int64(P * G * D), int32(G * D), int32(of_row), int32(run)
    return width(G * D, *arrays), numbers
