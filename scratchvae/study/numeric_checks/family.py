"""E87 to E95: likelihoods of grey pixels and of levels, importance weights, a KL that is annealed."""

import numpy as np

from ... import rng
from ...models.objective import Annealed
from ...ops import numpy as ops
from .. import gradients
from .check import all_hold, at_most, equal

DNLL = np.array([0.5, -1.5, 2.0])
LEVELS = 16


def _normal(*shape, place):
    return rng.normal(11, rng.CHECK, place, 0, int(np.prod(shape)), np.float64).reshape(shape)


def _pixels():
    x = np.rint((LEVELS - 1) / (1 + np.exp(-2 * _normal(3, 5, place=0)))) / (LEVELS - 1)
    x[0, :2] = 0, 1
    return x


def _slopes(f, x):
    """The derivative of Σ f, by complex steps."""
    blame = np.ones(len(f(x + 0j)))
    return gradients.vector_jacobian(lambda theta: f(theta.reshape(x.shape)), x.ravel(), blame).reshape(x.shape)


def _work(like, count):
    return [np.empty_like(like) for _ in range(count)]


def _grey(a, x):
    return ops.continuous_bernoulli_nll(a, x, np.empty(len(a), a.dtype), _work(a, 3))


def _logits():
    a = 3 * _normal(3, 5, place=1)
    a[0, :2] = 0, 0.3
    return a


def E87_continuous_bernoulli_nll():
    nodes, weights = np.polynomial.legendre.leggauss(40)
    a, x = (values.ravel()[:, None] for values in np.broadcast_arrays(_logits().reshape(-1, 1), (nodes + 1) / 2))
    whole = np.exp(-_grey(a, x)).reshape(-1, 40) @ weights / 2
    a, x = _logits()[1:], _pixels()[1:]
    formula = (np.log(np.expm1(a) / a) - x * a).sum(axis=1)
    return all_hold("its density integrates to 1, whatever the logit, and its logarithm is the formula",
                    equal("", whole, np.ones(15), 1e-12), equal("", _grey(a, x), formula, 1e-13))  # fmt: skip


def E88_continuous_bernoulli_nll_backward():
    a, x = _logits(), _pixels()
    da = ops.continuous_bernoulli_nll_backward(DNLL, a, x, np.empty_like(a), _work(a, 3))
    mean = ops.continuous_bernoulli_mean(a, np.empty_like(a), _work(a, 3))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    grid = np.broadcast_arrays(a.reshape(-1, 1), (nodes + 1) / 2)
    density = np.exp(-_grey(*(values.ravel()[:, None] for values in grid))).reshape(-1, 40)
    return all_hold("E[x] − x is the derivative of E87, by complex steps, and E[x] the mean of its density",
                    equal("", da, _slopes(lambda b: DNLL * _grey(b, x + 0j), a)),
                    equal("", mean.ravel(), (density * grid[1]) @ weights / 2, 1e-12))  # fmt: skip


def _levels(m, s, x):
    return ops.logistic_nll(m, s, x, np.empty(len(m), np.result_type(m, s)), _work(m + s, 5), LEVELS)


def E89_logistic_nll():
    x = np.linspace(0, 1, LEVELS)[:, None]
    some = (0.5, -3), (2, 0), (-1, -1)
    sums = [np.exp(-_levels(np.full_like(x, m), np.full_like(x, s), x)).sum() for m, s in some]
    middle, m, s = x[1:-1], np.full((LEVELS - 2, 1), 0.4), np.full((LEVELS - 2, 1), -2.0)
    sigmoid, h = (lambda t: 1 / (1 + np.exp(-t * np.exp(2.0)))), 1 / (LEVELS - 1)
    difference = -np.log(sigmoid(middle + h / 2 - 0.4) - sigmoid(middle - h / 2 - 0.4))[:, 0]
    return all_hold("the probabilities of all levels sum to 1, and each is a difference of two sigmoids",
                    equal("", np.array(sums), np.ones(3), 1e-13),
                    equal("", _levels(m, s, middle), difference, 1e-12))  # fmt: skip


def E90_logistic_nll_backward():
    m, s, x = _normal(3, 5, place=2), _normal(3, 5, place=3), _pixels()
    dm, ds = np.empty_like(m), np.empty_like(m)
    ops.logistic_nll_backward(DNLL, m, s, x, dm, ds, _work(m, 5), LEVELS)
    parts = [
        _slopes(lambda n: DNLL * _levels(n, s + 0j, x + 0j), m), _slopes(lambda t: DNLL * _levels(m + 0j, t, x + 0j), s)
    ]  # fmt: skip
    return equal("both are the derivatives of E89, by complex steps", [dm, ds], parts)


def E91_soft_floor():
    x, dY = 4 * _normal(12, place=4), _normal(12, place=5)
    y = ops.soft_floor(x, -2.0, np.empty(12), np.empty(12))
    dX = ops.soft_floor_backward(dY, x, -2.0, np.empty(12))
    moved = ops.soft_floor(x + 1e-40j, -2.0, np.empty(12, complex), np.empty(12, complex)).imag / 1e-40
    below = at_most("", float((np.maximum(x, -2) - y).max()), 1e-12, "below what it should bound")
    return all_hold("it is log(1 + eˣ) above the floor, below neither, with the slope of a complex step",
                    equal("", y, -2 + np.log1p(np.exp(x + 2)), 1e-13), equal("", dX, dY * moved), below)  # fmt: skip


def _draws():
    mu, logvar, eps = (_normal(6, 3, place=place) for place in (6, 7, 8))
    return mu, logvar, eps, mu + np.exp(logvar / 2) * eps


def E92_sampled_kl():
    mu, logvar, eps, z = _draws()
    kl = ops.sampled_kl(z, eps, logvar, np.empty(6), np.empty_like(z))
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)
    return equal("it is log q(z|x) − log p(z), both written out", kl, log_q + 0.5 * (z**2).sum(axis=1))


def _bound(nll, kl):
    return ops.importance_loss(nll, kl, np.empty(2, nll.dtype), np.empty((2, 3), nll.dtype))


def E93_importance_loss_backward():
    nll, kl, dloss, w = 3 * _normal(6, place=9), _normal(6, place=10), np.array([0.7, -2.0]), np.empty((2, 3))
    ops.importance_loss(nll, kl, np.empty(2), w)
    each = ops.importance_loss_backward(dloss, w, np.empty(6))
    alone = ops.importance_loss(nll[:2], kl[:2], np.empty(2), np.empty((2, 1)))
    return all_hold("the gradients are those of the bound, by complex steps, and one draw is its own −log w",
                    equal("", each, _slopes(lambda n: dloss * _bound(n, kl + 0j), nll)),
                    equal("", alone, nll[:2] + kl[:2]))  # fmt: skip


def E94_importance_backward():
    mu, logvar, eps, z = _draws()
    std, w, dkl = np.exp(logvar / 2), np.abs(_normal(6, place=11)), np.abs(_normal(6, place=12))
    target = _normal(6, 3, place=13)

    def loss(mu, logvar, held=None):
        """dkl · (a function of z + log q − log p), where log q's own parameters may be held fixed."""
        z = mu + np.exp(logvar / 2) * eps
        of_q = (mu, logvar) if held is None else held
        log_q = -0.5 * ((z - of_q[0]) ** 2 / np.exp(of_q[1]) + of_q[1]).sum(axis=1)
        return dkl * ((target * z).sum(axis=1) + log_q + 0.5 * (z**2).sum(axis=1))

    found, expected = [], []
    for held in (None, (mu, logvar)):
        for weights in (None, w):
            dmu, dlogvar = np.empty_like(mu), np.empty_like(mu)
            dz = dkl[:, None] * target
            ops.importance_backward(dz, dkl, weights, z, eps, std, dmu, dlogvar, path=held is not None)
            scale = 1 if weights is None else w[:, None]
            found += [dmu, dlogvar]
            expected += [
                scale * _slopes(lambda m, held=held: loss(m, logvar + 0j, held), mu),
                scale * _slopes(lambda v, held=held: loss(mu + 0j, v, held), logvar),
            ]
    return equal("plain and path gradients, by complex steps with q's parameters free and held", found, expected)


def E95_annealed():
    linear, cycles = Annealed("linear", 4, kl=1.0), Annealed("cyclical", 6, kl=1.0)
    found = [float(one.share(step)) for one in (linear, cycles) for step in range(8)]
    thirds = [1 / 3, 2 / 3, 1, 1, 1, 1, 1 / 3, 2 / 3]
    quarters = [1 / 4, 2 / 4, 3 / 4, 1, 1, 1, 1, 1]
    return equal("the shares of the first eight steps, counted by hand", np.array(found), [*quarters, *thirds])
