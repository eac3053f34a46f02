"""Negative log-likelihoods: twins of ops.numpy.likelihoods, and loss with gradient in one pass. `work` is not used."""

import numpy as np

from ...errors import ShapeError
from .check import check
from .launch import C_NAMES, int32, launch, per_element, width

_FILE, _THREADS = "likelihoods.cu", 256
_LOSS, _GRADIENT = 1, 2


def bernoulli_nll(logits, x, out, work=None):
    """−log p(x) = Σ_pixels softplus(a) − x a (E17).   logits a, x (B, D) → out (B,), nats per image"""
    _bernoulli("bernoulli_nll", _LOSS, None, logits, x, out, None)
    return out


def bernoulli_nll_backward(dnll, logits, x, out):
    """da = dnll · (sigmoid(a) − x) (E18).   dnll (B,), a number for each row · logits a, x (B, D) → out (B, D), which may be logits"""
    _bernoulli("bernoulli_nll_backward", _GRADIENT, dnll, logits, x, None, out)
    return out


def bernoulli_nll_and_gradient(dnll, logits, x, nll, dlogits):
    """bernoulli_nll, then bernoulli_nll_backward, in one pass over the logits (E17, E18).   → nll (B,), dlogits (B, D)"""
    _bernoulli("bernoulli_nll_and_gradient", _LOSS | _GRADIENT, dnll, logits, x, nll, dlogits)
    return nll


def gaussian_nll(mean, logvar, x, out, work=None):
    """−log p(x) = ½ Σ_pixels (x − m)² / σ² + logvar + log 2π (E19).   mean m, x (B, D) · logvar broadcasts to it → out (B,)"""
    _gaussian("gaussian_nll", _LOSS, None, mean, logvar, x, out, None, None)
    return out


def gaussian_nll_backward(dnll, mean, logvar, x, dmean, dlogvar):
    """dm = dnll · (m − x) / σ²,  dlogvar = dnll · ½ (1 − (x − m)² / σ²) (E20).   dnll (B,) → writes dmean, dlogvar (B, D)"""
    _gaussian("gaussian_nll_backward", _GRADIENT, dnll, mean, logvar, x, None, dmean, dlogvar)


def gaussian_nll_and_gradient(dnll, mean, logvar, x, nll, dmean, dlogvar):
    """gaussian_nll, then gaussian_nll_backward, in one pass (E19, E20).   (B, D) → nll (B,), dmean, dlogvar (B, D)"""
    _gaussian("gaussian_nll_and_gradient", _LOSS | _GRADIENT, dnll, mean, logvar, x, nll, dmean, dlogvar)
    return nll


def squared_error(y, x, out, work=None):
    """Σ_pixels (y − x)² (E21).   y, x (B, D) → out (B,)"""
    _squared("squared_error", _LOSS, None, y, x, out, None)
    return out


def squared_error_backward(derror, y, x, out):
    """dy = derror · 2 (y − x) (E22).   derror (B,) · y, x (B, D) → out (B, D)"""
    _squared("squared_error_backward", _GRADIENT, derror, y, x, None, out)
    return out


def squared_error_and_gradient(derror, y, x, error, dy):
    """squared_error, then squared_error_backward, in one pass (E21, E22).   (B, D) → error (B,), dy (B, D)"""
    _squared("squared_error_and_gradient", _LOSS | _GRADIENT, derror, y, x, error, dy)
    return error


def continuous_bernoulli_nll(logits, x, out, work=None):
    """−log p(x) = Σ_pixels log((eᵃ − 1) / a) − x a.   logits a, x (B, D) → out (B,), nats per image"""
    _continuous_bernoulli("continuous_bernoulli_nll", _LOSS, None, logits, x, out, None)
    return out


def continuous_bernoulli_nll_backward(dnll, logits, x, out, work=None):
    """da = dnll · (mean(a) − x).   dnll (B,) · logits a, x (B, D) → out (B, D)"""
    _continuous_bernoulli("continuous_bernoulli_nll_backward", _GRADIENT, dnll, logits, x, None, out)
    return out


def continuous_bernoulli_mean(logits, out, work=None):
    """E[x] = 1 / (1 − e^−a) − 1 / a, and ½ at a = 0.   logits a (B, D) → out (B, D)"""
    dtype = check("continuous_bernoulli_mean", logits=(logits, logits.shape), out=(out, logits.shape))
    per_element(_FILE, f"continuous_bernoulli_mean<{C_NAMES[dtype]}>", logits.size, (logits, out, np.int64(logits.size)))
    return out


def logistic_nll(mean, logscale, x, out, work=None, levels=256):
    """−log P(x), x being the nearest of so many levels.   mean m, logscale log s, x (B, D) → out (B,), nats per image"""
    _logistic("logistic_nll", _LOSS, None, mean, logscale, x, out, None, None, levels)
    return out


def logistic_nll_backward(dnll, mean, logscale, x, dmean, dlogscale, work=None, levels=256):
    """The derivatives of logistic_nll.   dnll (B,) → dmean, dlogscale (B, D)"""
    _logistic("logistic_nll_backward", _GRADIENT, dnll, mean, logscale, x, None, dmean, dlogscale, levels)


def _continuous_bernoulli(operation, what, dnll, logits, x, nll, da):
    shape = logits.shape
    row = shape[:1]
    dtype = check(operation, dnll=(dnll, row), logits=(logits, shape), x=(x, shape), nll=(nll, row), dlogits=(da, shape))
    _per_row(f"continuous_bernoulli<{C_NAMES[dtype]}, {what}>", shape, (dnll, logits, x, nll, da))


def _logistic(operation, what, dnll, mean, logscale, x, nll, dmean, dlogscale, levels):
    shape = mean.shape
    row = shape[:1]
    dtype = check(
        operation, dnll=(dnll, row), mean=(mean, shape), logscale=(logscale, shape), x=(x, shape), nll=(nll, row),
        dmean=(dmean, shape), dlogscale=(dlogscale, shape),
    )  # fmt: skip
    _per_row(f"logistic<{C_NAMES[dtype]}, {what}>", shape, (dnll, mean, logscale, x, nll, dmean, dlogscale, int32(levels)))


def _bernoulli(operation, what, dnll, logits, x, nll, da):
    shape = logits.shape
    row = shape[:1]
    dtype = check(operation, dnll=(dnll, row), logits=(logits, shape), x=(x, shape), nll=(nll, row), dlogits=(da, shape))
    V = width(shape[1], logits, x, da)
    _per_row(f"bernoulli<{C_NAMES[dtype]}, {V}, {what}>", shape, (dnll, logits, x, nll, da))


def _squared(operation, what, derror, y, x, error, dy):
    shape = y.shape
    row = shape[:1]
    dtype = check(operation, derror=(derror, row), y=(y, shape), x=(x, shape), error=(error, row), dy=(dy, shape))
    V = width(shape[1], y, x, dy)
    _per_row(f"squared<{C_NAMES[dtype]}, {V}, {what}>", shape, (derror, y, x, error, dy))


def _gaussian(operation, what, dnll, mean, logvar, x, nll, dmean, dlogvar):
    shape = mean.shape
    dtype = check(
        operation, dnll=(dnll, shape[:1]), mean=(mean, shape), x=(x, shape), logvar=(logvar, logvar.shape), nll=(nll, shape[:1]),
        dmean=(dmean, shape), dlogvar=(dlogvar, shape),
    )  # fmt: skip
    strides = _broadcast_strides(operation, logvar, shape)
    arguments = dnll, mean, logvar, *map(int32, strides), x, nll, dmean, dlogvar
    _per_row(f"gaussian<{C_NAMES[dtype]}, {what}>", shape, arguments)


def _broadcast_strides(operation, logvar, shape):
    """How far apart, in elements, logvar's numbers for the next row and the next column stand: 0 where they are the same."""
    padded = (1,) * (2 - logvar.ndim) + logvar.shape
    if len(padded) != 2 or any(n not in (1, whole) for n, whole in zip(padded, shape, strict=True)):
        raise ShapeError(f"{operation}: logvar of shape {logvar.shape} does not broadcast to {shape}")
    return (padded[1] if padded[0] > 1 else 0), (1 if padded[1] > 1 else 0)


def _per_row(expression, shape, arguments):
    launch(_FILE, expression, (shape[0],), (_THREADS,), (*arguments, int32(shape[1])))
