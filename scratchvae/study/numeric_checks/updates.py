"""E23 to E30 and E38: every update against its textbook recursion, five steps long."""

import numpy as np

from ... import rng
from ...data import Dataset, Split
from ...models import Autoencoder
from ...ops import numpy as ops
from ...training import fit
from .check import all_hold, at_most, equal

LR, STEPS = 0.1, 5


def _numbers(place):
    return rng.normal(8, rng.CHECK, place, 0, 6, np.float64)[0]


def _compare(claim, update, moments, textbook):
    """update(p, g, *moments, work, step) in place against textbook(state, p, g, step) → state, p"""
    p, q, state = _numbers(0).copy(), _numbers(0).copy(), (0.0,) * moments
    held = [np.zeros_like(p) for _ in range(moments)]
    paths = [], []
    for step in range(1, STEPS + 1):
        g = _numbers(step)
        update(p, g.copy(), *held, np.empty_like(p), step)
        state, q = textbook(state, q, g, step)
        paths[0].append(p.copy())
        paths[1].append(q)
    return equal(claim, paths[0], paths[1])


def E23_weight_decay():
    p, g = _numbers(0), _numbers(1)
    decayed = g.copy()
    ops.weight_decay(p, decayed, np.empty_like(p), 0.3)
    slopes = [(0.15 * np.sum((p + 1j * 1e-40 * np.eye(6)[i]) ** 2)).imag / 1e-40 for i in range(6)]
    return equal("what is added to g is the derivative of λ/2 ‖p‖², by complex steps", decayed - g, slopes)


def E24_sgd():
    return _compare(
        "five steps are those of p − η g", lambda p, g, w, t: ops.sgd(p, g, w, LR, t), 0, lambda s, p, g, t: (s, p - LR * g)
    )


def E25_momentum():
    def textbook(s, p, g, t):
        v = 0.9 * s[0] + g
        return (v,), p - LR * v

    return _compare(
        "five steps are those of the recursion for v and p", lambda p, g, v, w, t: ops.momentum(p, g, v, w, LR, t), 1, textbook
    )


def E26_nesterov():
    def textbook(s, p, g, t):
        v = 0.9 * s[0] + g
        return (v,), p - LR * (g + 0.9 * v)

    return _compare(
        "five steps are those of the recursion for v and p", lambda p, g, v, w, t: ops.nesterov(p, g, v, w, LR, t), 1, textbook
    )


def E27_rmsprop():
    def textbook(s, p, g, t):
        v = 0.99 * s[0] + 0.01 * g**2
        return (v,), p - LR * g / (np.sqrt(v) + 1e-8)

    return _compare(
        "five steps are those of the recursion for s and p", lambda p, g, v, w, t: ops.rmsprop(p, g, v, w, LR, t), 1, textbook
    )


def E28_adagrad():
    def textbook(s, p, g, t):
        v = s[0] + g**2
        return (v,), p - LR * g / (np.sqrt(v) + 1e-10)

    return _compare(
        "five steps are those of the recursion for s and p", lambda p, g, v, w, t: ops.adagrad(p, g, v, w, LR, t), 1, textbook
    )


def _adam(s, p, g, t):
    m, v = 0.9 * s[0] + 0.1 * g, 0.999 * s[1] + 0.001 * g**2
    return (m, v), p - LR * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def E29_adam():
    five = _compare("", lambda p, g, m, v, w, t: ops.adam(p, g, m, v, w, LR, t), 2, _adam)
    p = _numbers(0).copy()
    ops.adam(p, _numbers(1).copy(), np.zeros(6), np.zeros(6), np.empty(6), LR, 1)
    first = equal("", p, _numbers(0) - LR * np.sign(_numbers(1)), 1e-6)
    claim = "five steps are those of the published algorithm; the first moves every parameter by η, whatever its gradient"
    return all_hold(claim, five, first)


def E30_adamw():
    def textbook(s, p, g, t):
        return _adam(s, p - LR * 0.01 * p, g, t)

    return _compare("five steps are p − ηλp, then Adam", lambda p, g, m, v, w, t: ops.adamw(p, g, m, v, w, LR, t), 2, textbook)


def E38_clip():
    """Plain gradient descent on one batch of a small autoencoder: what moved, over η, is the gradient that was used."""
    images = Split(rng.uniform(8, rng.CHECK, 9, np.arange(8), 6, np.float32), None)
    data = Dataset("eight images", (2, 3), images, images, "made for a check")
    moved = {}
    for clip in (None, 0.5, 1e6):
        model = Autoencoder(6, (4,), 2, seed=8, dtype=np.float64)
        before = model.buffer.values.copy()
        fit(model, data, batch_size=8, max_steps=1, lr=1.0, optimiser="sgd", clip=clip, threads=1, progress=False)
        moved[clip] = before - model.buffer.values
    g = moved[None]
    norm = float(np.linalg.norm(g))
    longer = at_most("", 0.5 - norm)
    claim = "a gradient longer than c is scaled to length c and keeps its direction; a shorter one is left alone"
    return all_hold(claim, longer, equal("", moved[0.5], g * 0.5 / norm), equal("", moved[1e6], g))
