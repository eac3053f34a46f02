"""E82 to E86: residuals, heat maps and what is found in them, and a loss at each of several stages."""

from itertools import product

import numpy as np

from ... import nn, rng
from ...evaluate import pck, peaks
from ...models.hourglass import Stage
from ...ops import numpy as ops
from .. import gradients
from .check import all_hold, equal


def _normal(*shape, place):
    return rng.normal(11, rng.CHECK, place, 0, int(np.prod(shape)), np.float64).reshape(shape)


def E82_residual():
    x, dY = _normal(3, 4, place=0), _normal(3, 4, place=1)
    layer = nn.Residual(nn.Dense(4, 4), nn.Tanh()).initialise(1, np.float64)
    W, b = (p.value for _, p in layer.parameters())
    f = lambda x: np.tanh(x @ W + b)
    through_f = gradients.vector_jacobian(lambda v: f(v.reshape(3, 4)).ravel(), x.ravel(), dY.ravel()).reshape(3, 4)
    value, back = equal("", layer.forward(x), x + f(x)), equal("", layer.backward(dY), dY + through_f)
    return all_hold("y is x and f(x); dX is dY and what comes back through f, by complex steps", value, back)


def E83_heat_maps():
    points, sigma = 9 * rng.uniform(11, rng.CHECK, 2, 0, 12, np.float64).reshape(2, 3, 2), 1.3
    seen = np.ones((2, 3), bool)
    seen[1, 2] = False
    M, by_hand = ops.heat_maps(points, sigma, np.full((2, 4, 6, 3), np.nan), seen, 2), np.zeros((2, 4, 6, 3))
    for n, h, w, j in product(range(2), range(4), range(6), range(3)):
        x, y = points[n, j]
        far = (2 * w + 0.5 - x) ** 2 + (2 * h + 0.5 - y) ** 2  # squared, in pixels of the image
        by_hand[n, h, w, j] = np.exp(-far / (2 * (2 * sigma) ** 2)) if seen[n, j] else 0
    return equal("each pixel holds the Gaussian of its distance to the joint, or 0 where that is hidden", M, by_hand)


def E84_peaks():
    points = 2 + 5 * rng.uniform(11, rng.CHECK, 3, 0, 40, np.float64).reshape(4, 5, 2)  # not near the edge of 9 × 9
    found = peaks(ops.heat_maps(points, 1.0, np.empty((4, 9, 9, 5))))
    nearest = np.rint(points)
    quarter = equal("", found, nearest + 0.25 * np.sign(points - nearest))
    corner = np.zeros((1, 3, 3, 1))
    corner[0, 0, 2] = 1
    edge = equal("", peaks(corner), [[[2.0, 0.0]]])
    claim = "of a Gaussian it is the nearest pixel, and a quarter of a pixel towards its middle; none at an edge"
    return all_hold(claim, quarter, edge)


def E85_stages():
    x, shape = _normal(1, 4, 4, 3, place=4), (1, 4, 4, 3)
    dY, dnext = _normal(1, 4, 4, 2, place=5), _normal(*shape, place=6)
    stage = Stage(3, 2, 1, last=False).initialise(2, np.float64)
    twin = stage.replica(np.complex128)
    both = lambda v: np.concatenate([part.ravel() for part in twin.forward(v.reshape(shape))])
    stage.forward(x)
    blame = gradients.vector_jacobian(both, x.ravel(), np.concatenate([dY.ravel(), dnext.ravel()]))
    dX = stage.backward(dY, dnext)
    return equal("dX holds what the stage's own loss sends and what all later ones do", dX.ravel(), blame)


def E86_pck():
    points, found = _normal(6, 2, 2, place=7), _normal(6, 2, 2, place=8)
    size, seen = 1 + rng.uniform(11, rng.CHECK, 9, 0, 6, np.float64)[0], np.ones((6, 2), bool)
    seen[2, 0] = seen[5, 1] = False
    within = lambda n, j: np.hypot(*(found[n, j] - points[n, j])) <= 0.8 * size[n]
    right = [[within(n, j) for n in range(6) if seen[n, j]] for j in range(2)]
    by_hand = [sum(one) / len(one) for one in right]
    return equal("it is the share of the joints seen that lie within α r", pck(found, points, size, 0.8, seen), by_hand)
