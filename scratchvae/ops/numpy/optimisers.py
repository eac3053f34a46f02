"""Optimiser updates, in place on flat slices: parameters p, gradient g, moments, scratch `work`, all of one shape (N,).

`step` counts updates from 1. Averages are kept divided by (1 − β), which leaves every update as published and saves two passes over
memory: with M = m / (1 − β) the recursion m ← β m + (1 − β) g reads M ← β M + g. So after one step Adam's `m` holds g, not (1 − β₁) g,
and its `v` and RMSProp's `square` hold g²: in these arrays, and in a checkpoint. Times (1 − β) they are those of the papers.
"""

from math import sqrt

import numpy as np


def weight_decay(p, g, work, decay):
    """g ← g + λ p (E23): the gradient of λ/2 ‖p‖², for every optimiser but AdamW."""
    np.multiply(p, decay, out=work)
    g += work


def sgd(p, g, work, lr, step):
    """p ← p − η g (E24)"""
    np.multiply(g, lr, out=work)
    p -= work


def momentum(p, g, velocity, work, lr, step, mu=0.9):
    """v ← μ v + g,  p ← p − η v (E25; Polyak, 1964)"""
    velocity *= mu
    velocity += g
    np.multiply(velocity, lr, out=work)
    p -= work


def nesterov(p, g, velocity, work, lr, step, mu=0.9):
    """v ← μ v + g,  p ← p − η (g + μ v) (E26; Nesterov, 1983, as in Sutskever et al., 2013)"""
    velocity *= mu
    velocity += g
    np.multiply(velocity, mu, out=work)
    work += g
    work *= lr
    p -= work


def rmsprop(p, g, square, work, lr, step, rho=0.99, eps=1e-8):
    """S ← ρ S + g²,  p ← p − η g / (√s + ε) with s = (1 − ρ) S (E27; Tieleman & Hinton, 2012).   square: S"""
    _accumulate_square(square, g, work, rho)
    _scaled_step(p, g, square, work, lr / sqrt(1 - rho), eps / sqrt(1 - rho))


def adagrad(p, g, square, work, lr, step, eps=1e-10):
    """s ← s + g²,  p ← p − η g / (√s + ε) (E28; Duchi et al., 2011)"""
    _accumulate_square(square, g, work, 1)
    _scaled_step(p, g, square, work, lr, eps)


def adam(p, g, m, v, work, lr, step, beta1=0.9, beta2=0.999, eps=1e-8):
    """M ← β₁ M + g,  V ← β₂ V + g²,  p ← p − η m̂ / (√v̂ + ε) (E29; Kingma & Ba, 2015, algorithm 1)

    m, v: M = m / (1−β₁) and V = v / (1−β₂) of the paper's moments, so that m̂ = (1−β₁) M / (1−β₁ᵗ) and v̂ = (1−β₂) V / (1−β₂ᵗ) at step t.
    """
    m *= beta1
    m += g
    _accumulate_square(v, g, work, beta2)
    m_scale, v_scale = (1 - beta1) / (1 - beta1**step), sqrt((1 - beta2) / (1 - beta2**step))
    _scaled_step(p, m, v, work, lr * m_scale / v_scale, eps / v_scale)


def adamw(p, g, m, v, work, lr, step, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    """p ← p − η λ p, then Adam (E30; Loshchilov & Hutter, 2019): the decay does not pass through the moments."""
    p *= 1 - lr * decay
    adam(p, g, m, v, work, lr, step, beta1, beta2, eps)


def _accumulate_square(square, g, work, rho):
    """S ← ρ S + g²"""
    np.multiply(g, g, out=work)
    if rho != 1:
        square *= rho
    square += work


def _scaled_step(p, direction, square, work, lr, eps):
    """p ← p − η d / (√S + ε)"""
    np.sqrt(square, out=work)
    work += eps
    np.divide(direction, work, out=work)
    work *= lr
    p -= work
