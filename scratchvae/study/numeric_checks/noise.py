"""E1 to E3, E31 to E33 and E37: noise, first weights, and a grid that covers the prior."""

import math

import numpy as np

from ... import rng
from ...nn import init
from .check import ROUNDING, Check, all_hold, at_most, close, equal


def E1_philox():
    ones = 0xFFFFFFFF
    counters = np.array([[0] * 4, [ones] * 4, [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], np.uint64).T
    keys = [(0, 0), (ones, ones), (0xA4093822, 0x299F31D0)]
    known = [
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ]
    words = [" ".join(f"{int(w):08x}" for w in rng.philox(c, k)) for c, k in zip(counters.T, keys, strict=True)]
    wrong = sum(a != b for a, b in zip(words, known, strict=True))
    return Check("the three published answers come out, word for word", wrong, 0, "answers")


def E2_uniform():
    u = rng.uniform(1, rng.CHECK, 0, np.arange(5000), 4, np.float64)
    w = rng.words(1, rng.CHECK, 0, np.arange(5000), 4)
    inside = at_most("", ((u < 0) | (u >= 1)).sum(), unit="numbers outside [0, 1)")
    exact = equal("", u * 2**24, [[int(word) // 256 for word in row] for row in w], 0)
    claim = "u · 2²⁴ is the word without its last 8 bits, u lies in [0, 1), and its mean is ½"
    return all_hold(claim, inside, exact, close("", u.ravel(), 0.5))


def E3_box_muller():
    u = rng.uniform(2, rng.CHECK, 0, np.arange(20_000), 2, np.float64)
    eps = rng.normal(2, rng.CHECK, 0, np.arange(20_000), 2, np.float64)
    pairs = [(math.sqrt(-2 * math.log(1 - a)), 2 * math.pi * b) for a, b in u[:100]]
    by_hand = np.array([[r * math.cos(t), r * math.sin(t)] for r, t in pairs])
    same = equal("", eps[:100], by_hand)
    powers = np.stack([eps[:, 0], eps[:, 1], eps[:, 0] ** 2, eps[:, 1] ** 2, eps[:, 0] * eps[:, 1], eps[:, 0] ** 4], axis=1)
    moments = close("", powers, [0, 0, 1, 1, 0, 3])
    claim = "two uniforms give the two normals of the formula; means 0, variances 1, no correlation, fourth moment 3"
    return all_hold(claim, same, moments)


def E31_glorot():
    W = init.glorot((200, 100), 3, 0)
    limit = math.sqrt(6 / 300)
    outside = at_most("", np.abs(W).max() - limit)
    spread = close("", (W**2).ravel(), 2 / 300)
    reach = equal("", np.abs(W).max(), limit, 1e-3)
    return all_hold("weights fill (−a, a), a = √(6/(I+O)), and their variance is 2/(I+O)", outside, spread, reach)


def E32_he():
    return close("the variance of the weights is 2/I", (init.he((200, 100), 3, 0) ** 2).ravel(), 2 / 200)


def E33_lecun():
    return close("the variance of the weights is 1/I", (init.lecun((200, 100), 3, 0) ** 2).ravel(), 1 / 200)


def E37_prior_grid():
    import tempfile
    from pathlib import Path

    from ... import plots

    class Stub:
        """A model that only remembers which codes it was asked to draw."""

        latent, dtype = 2, np.dtype(np.float64)

        def decode(self, z):
            self.z = z
            return np.zeros((len(z), 4))

    stub, n = Stub(), 6
    with tempfile.TemporaryDirectory() as folder:
        plots.draw_manifold(stub, (2, 2), Path(folder) / "grid.png", "grid", n=n)
    below = [0.5 * (1 + math.erf(z / math.sqrt(2))) for z in sorted(set(stub.z[:, 0]))]  # Φ(z), another way
    return equal("below the i-th value lies the share (i − ½)/n of the prior", below, (np.arange(n) + 0.5) / n, 1e3 * ROUNDING)
