"""E39 to E49, E56 and E59: the derivations of the evidence lower bound, held against the linear model, where all is known."""

import numpy as np

from ... import rng
from ...ops import numpy as ops
from .. import probability as study
from ..judge import kinds
from ..linear_gaussian import LinearGaussian, log_standard_normal, pca, probabilistic_pca
from .check import all_hold, at_most, close, equal


def _normal(rows, columns, place):
    return rng.normal(10, rng.CHECK, place, np.arange(rows), columns, np.float64)


def example():
    """A linear model of 3 pixels and 2 latents, and one image.   → LinearGaussian, x (3,)"""
    return LinearGaussian(_normal(3, 2, 0), [0.5, -0.2, 0.1], 0.3), np.array([1.2, 0.3, -0.9])


def approximate_posterior():
    """A q(z|x) that is not the posterior.   → mean (2,), standard deviations (2,)"""
    return np.array([0.4, -0.1]), np.array([0.6, 0.5])


def _draw_q(draws, place):
    """z ~ q and log q(z)   → (draws, 2), (draws,)"""
    mean, std = approximate_posterior()
    eps = _normal(draws, 2, place)
    return mean + std * eps, log_standard_normal(eps) - np.log(std).sum()


def E39_pca():
    x = _normal(400, 5, 1) * [3, 2, 1, 0.5, 0.2] @ _normal(5, 5, 2)
    U, values = pca(x, 2)
    centred = x - x.mean(axis=0)
    left = np.mean(np.sum((centred - centred @ U @ U.T) ** 2, axis=1))
    other = np.linalg.qr(_normal(5, 2, 3))[0]  # another plane, no better
    worse = np.mean(np.sum((centred - centred @ other @ other.T) ** 2, axis=1))
    claim = "what projection on 2 of 5 directions loses is the sum of the other 3 eigenvalues; a random plane loses more"
    return all_hold(claim, at_most("", left - worse), equal("", left, values[2:].sum()))


def E40_prior_estimate():
    model, x = example()
    z = _normal(50_000, 2, 4)
    weights = np.exp(model.log_likelihood(x, z))
    estimate = np.exp(study.prior_estimate(model.log_likelihood(x, z)))
    exact = float(np.exp(model.log_marginal(x)[0]))
    claim = "the mean of p(x|z) over 50,000 draws from the prior is p(x), known exactly in the linear model"
    return all_hold(claim, close("", weights, exact), equal("", estimate, exact, 0.05))


def E41_log_marginal():
    model = LinearGaussian([[1.5]], [0.2], 0.4)
    z = np.linspace(-10, 10, 8001)[:, None]
    x = np.array([[1.0], [-2.0]])
    by_grid = [np.log(np.sum(np.exp(model.log_joint(row, z))) * (z[1, 0] - z[0, 0])) for row in x]
    return equal("the closed form is the integral of p(x|z) p(z) over a fine grid of z", model.log_marginal(x), by_grid, 1e-9)


P = np.array([0.5, 0.3, 0.2])
Q = np.array([0.2, 0.4, 0.4])


def E42_cross_entropy():
    entropy = -float(P @ np.log(P))
    claim = "cross-entropy is entropy plus KL, so over q it is smallest at q = p"
    at_p = equal("", study.cross_entropy(P, P), entropy)
    return all_hold(claim, at_p, equal("", study.cross_entropy(P, Q), entropy + float(P @ (np.log(P) - np.log(Q)))))


def E43_divergence():
    u = rng.uniform(10, rng.CHECK, 5, np.arange(200), 6, np.float64) + 1e-3
    pairs = [(a[:3] / a[:3].sum(), a[3:] / a[3:].sum()) for a in u]
    lowest = min(study.divergence(p, q) for p, q in pairs)
    negative = at_most("", -lowest, unit="nats below 0")
    by_hand = sum(p * (np.log(p) - np.log(q)) for p, q in zip(P, Q, strict=True))
    none = at_most("", abs(study.divergence(P, P)), 1e-15, "nats")
    claim = "of 200 random pairs none has a KL below 0; KL is the sum written out, and 0 for p = q"
    return all_hold(claim, negative, none, equal("", study.divergence(P, Q), by_hand))


def E44_posterior():
    model, x = example()
    mean, cov = model.posterior(x)
    z = _normal(6, 2, 6)
    rest = z - mean
    log_posterior = -0.5 * np.sum(rest * np.linalg.solve(cov, rest.T).T, axis=1) - 0.5 * np.linalg.slogdet(2 * np.pi * cov)[1]
    return equal("Bayes: log p(x,z) − log p(z|x) is log p(x), the same for six different z",
                 model.log_joint(x, z) - log_posterior, np.full(6, model.log_marginal(x)[0]), 1e-10)  # fmt: skip


def E45_jensen():
    w = np.array([1.0, 4.0])
    by_hand = equal("", study.jensen_gap(w), np.log(2.5) - np.log(2.0))
    gaps = [study.jensen_gap(row) for row in rng.uniform(10, rng.CHECK, 7, np.arange(200), 5, np.float64) + 1e-3]
    negative, none = at_most("", -min(gaps), unit="below 0"), at_most("", abs(study.jensen_gap(np.full(4, 3.0))), 1e-15)
    claim = "for 1 and 4 the gap is log 2.5 − log 2; for equal numbers 0; for 200 random sets none is below 0"
    return all_hold(claim, by_hand, negative, none)


def E46_elbo():
    """For Gaussians the ELBO has a closed form: the expected quadratic of the reconstruction, minus the KL to the prior."""
    model, x = example()
    mean, std = approximate_posterior()
    z, log_q = _draw_q(50_000, 8)
    terms = study.elbo_terms(model.log_joint(x, z), log_q)
    spread = np.sum((model.W * std) ** 2) / model.variance
    reconstruction = model.log_likelihood(x, mean[None])[0] - 0.5 * spread
    kl = 0.5 * np.sum(mean**2 + std**2 - 1 - np.log(std**2))
    below = at_most("", reconstruction - kl - model.log_marginal(x)[0], unit="nats above log p(x)")
    claim = "the mean of 50,000 terms is reconstruction − KL, in closed form; it lies below log p(x)"
    return all_hold(claim, below, close("", terms, reconstruction - kl))


def E47_elbo_gap():
    model, x = example()
    mean, std = approximate_posterior()
    z, log_q = _draw_q(50_000, 9)
    terms = study.elbo_terms(model.log_joint(x, z), log_q)
    gap = study.elbo_gap(model, x, mean, np.diag(std**2))
    posterior_mean, posterior_cov = model.posterior(x)
    none = at_most("", abs(study.elbo_gap(model, x, posterior_mean[0], posterior_cov)), 1e-12, "nats")
    claim = "log p(x) minus the mean of 50,000 ELBO terms is KL(q ‖ posterior) in closed form; with the posterior as q it is 0"
    return all_hold(claim, close("", model.log_marginal(x)[0] - terms, gap), none)


def E48_importance_weighted_bound():
    model, x = example()
    z, log_q = _draw_q(60_000, 10)
    log_w = study.elbo_terms(model.log_joint(x, z), log_q)
    exact = model.log_marginal(x)[0]
    bounds = [float(study.importance_weighted_bound(log_w.reshape(k, -1)).mean()) for k in (1, 5, 50, 60_000)]
    one = equal("", bounds[0], log_w.mean())
    order = at_most("", max(a - b for a, b in zip(bounds, bounds[1:], strict=False)), unit="nats down")
    rows = log_w.reshape(-1, 50)
    loss = ops.importance_loss(-log_w, 0 * log_w, np.empty(len(rows)), np.empty(rows.shape))
    operation = equal("", -loss, study.importance_weighted_bound(rows.T))
    claim = "1 weight is the ELBO; 5, 50 and 60,000 weights come ever closer to log p(x), known exactly"
    return all_hold(claim, one, order, operation, at_most("", abs(bounds[-1] - exact), 0.02, "nats"))


def E49_gaussian_divergence():
    mean_q, mean_p = np.array([0.4, -0.1]), np.array([-0.3, 0.8])
    a, b = _normal(2, 2, 11), _normal(2, 2, 12)
    cov_q, cov_p = a @ a.T + 0.3 * np.eye(2), b @ b.T + 0.3 * np.eye(2)
    z = mean_q + _normal(50_000, 2, 13) @ np.linalg.cholesky(cov_q).T

    def log_density(mean, cov):
        rest = z - mean
        return -0.5 * (np.sum(rest * np.linalg.solve(cov, rest.T).T, axis=1) + np.linalg.slogdet(2 * np.pi * cov)[1])

    terms = log_density(mean_q, cov_q) - log_density(mean_p, cov_p)
    draws = close("", terms, study.gaussian_divergence(mean_q, cov_q, mean_p, cov_p))
    mean, std = approximate_posterior()
    to_prior = equal("", study.gaussian_divergence(mean, np.diag(std**2), np.zeros(2), np.eye(2)),
                     0.5 * np.sum(mean**2 + std**2 - 1 - np.log(std**2)))  # fmt: skip
    return all_hold("the closed form is the mean of log(q/p) over 50,000 draws; against N(0, I) it is E15", draws, to_prior)


def E56_probabilistic_pca():
    x = _normal(500, 2, 14) * [2, 1] @ _normal(2, 5, 15) + 0.4 * _normal(500, 5, 16)
    best = probabilistic_pca(x, 2)
    top = best.log_marginal(x).mean()
    nearby = []
    for i in range(20):
        W = best.W + 0.02 * _normal(5, 2, 20 + i)
        nearby += [
            LinearGaussian(W, best.b, best.variance),
            LinearGaussian(best.W, best.b, best.variance * np.exp(0.02 * (i - 9.5))),
        ]
    excess = max(other.log_marginal(x).mean() for other in nearby) - top
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    kept = [values[0], values[1], *[values[2:].mean()] * 3]
    exact = -0.5 * (np.sum(np.log(kept)) + 5 * np.log(2 * np.pi) + 5)
    turned = LinearGaussian(best.W @ np.linalg.qr(_normal(2, 2, 40))[0], best.b, best.variance).log_marginal(x)
    claim = "none of 40 neighbours is more likely, the likelihood is that of the eigenvalues alone, and a turned code changes nothing"
    same = equal("", turned, best.log_marginal(x))
    return all_hold(claim, at_most("", excess, unit="nats more likely"), equal("", top, exact), same)


def E59_kinds():
    p = np.exp(2 * _normal(300, 4, 41))
    p /= p.sum(axis=1, keepdims=True)
    as_divergence = np.exp(np.mean([study.divergence(row, p.mean(axis=0)) for row in p]))
    sure, alike = np.eye(4)[np.arange(300) % 4], np.tile(p[:1], (300, 1))
    claim = "it is exp of the mean KL(p ‖ mean p); 4 for images of four sure kinds in equal parts, and 1 where all are alike"
    return all_hold(claim, equal("", kinds(p), as_divergence), equal("", kinds(sure), 4), equal("", kinds(alike), 1))
