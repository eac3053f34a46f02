"""Optimisers: twins of ops.numpy.optimisers, each one launch over the flat buffers, in place.

Arguments are the twins', and `work` is not used. lr is a number or a (1,) array of p's dtype on the device; step, counted from 1, is a
number or a (1,) uint32 array: so a captured launch follows both. Two options that NumPy does in passes of their own
happen on the way: `weight_decay` λ (E23) and `factor`, a (1,) array by which g is multiplied first (clip_factor, E38).
"""

from math import inf, log

import numpy as np

from .check import check
from .launch import C_NAMES, number, per_element, width


def weight_decay(p, g, work, decay):
    """g ← g + λ p (E23). The option weight_decay= of the others saves this pass."""
    dtype = check("weight_decay", p=(p, p.shape), g=(g, p.shape))
    V = width(p.size, p, g)
    per_element("optimisers.cu", f"weight_decay<{C_NAMES[dtype]}, {V}>", p.size // V, (p, g, np.int64(p.size), dtype.type(decay)))


def sgd(p, g, work, lr, step, **options):
    """p ← p − η g (E24)"""
    _update("Sgd", p, g, None, None, lr, step, **options)


def momentum(p, g, velocity, work, lr, step, mu=0.9, **options):
    """v ← μ v + g,  p ← p − η v (E25)"""
    _update("Momentum", p, g, velocity, None, lr, step, a=mu, **options)


def nesterov(p, g, velocity, work, lr, step, mu=0.9, **options):
    """v ← μ v + g,  p ← p − η (g + μ v) (E26)"""
    _update("Nesterov", p, g, velocity, None, lr, step, a=mu, **options)


def rmsprop(p, g, square, work, lr, step, rho=0.99, eps=1e-8, **options):
    """S ← ρ S + g²,  p ← p − η g / (√s + ε) with s = (1 − ρ) S (E27).   square: S"""
    _update("RMSProp", p, g, square, None, lr, step, a=rho, eps=eps, **options)


def adagrad(p, g, square, work, lr, step, eps=1e-10, **options):
    """s ← s + g²,  p ← p − η g / (√s + ε) (E28)"""
    _update("Adagrad", p, g, square, None, lr, step, eps=eps, **options)


def adam(p, g, m, v, work, lr, step, beta1=0.9, beta2=0.999, eps=1e-8, **options):
    """M ← β₁ M + g,  V ← β₂ V + g²,  p ← p − η m̂ / (√v̂ + ε) (E29).   m, v: M = m / (1−β₁) and V = v / (1−β₂)"""
    _update("Adam", p, g, m, v, lr, step, a=beta1, b=beta2, eps=eps, **options)


def adamw(p, g, m, v, work, lr, step, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01, **options):
    """p ← p − η λ p, then Adam (E30)"""
    _update("AdamW", p, g, m, v, lr, step, a=beta1, b=beta2, eps=eps, decay=decay, **options)


def _update(rule, p, g, m, v, lr, step, a=0.0, b=0.0, eps=0.0, decay=0.0, weight_decay=0.0, factor=None):
    shape = p.shape
    dtype = check(rule.lower(), p=(p, shape), g=(g, shape), m=(m, shape), v=(v, shape), factor=(factor, (1,)))
    V = width(p.size, p, g, m, v)
    logs = [log(beta) if beta > 0 else -inf for beta in (a, b)]
    settings = weight_decay, a, 1 - a, logs[0], b, 1 - b, logs[1], eps, decay
    now = *number(lr, dtype), *number(step, np.dtype(np.uint32)), factor
    expression = f"update<{C_NAMES[dtype]}, {rule}, {V}>"
    per_element("optimisers.cu", expression, p.size // V, (p, g, m, v, np.int64(p.size), *now, *map(dtype.type, settings)))
