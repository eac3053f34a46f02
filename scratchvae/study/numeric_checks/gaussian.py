"""E13 to E16 and E36: sampling through a Gaussian, its divergence from the prior, and the objective."""

import numpy as np

from ... import rng
from ...checks import kl_equals_monte_carlo, sampled_variance_is_declared
from ...data import Dataset, Split
from ...evaluate import measure
from ...models import VAE
from ...ops import numpy as ops
from .check import Check, all_hold, at_most, equal

H = 1e-40


def _code(place, rows=3, latent=4):
    return rng.normal(5, rng.CHECK, place, np.arange(rows), latent, np.float64)


def _moment(moment):
    return Check(moment.name, abs(moment.z_score), 4.0, "standard errors")


def _sampled(mu, logvar, eps):
    """z, σ and KL from the operation that a posterior calls, which is E13 and E15."""
    z, std, *work = (np.empty_like(mu) for _ in range(4))
    kl = np.empty(len(mu), mu.dtype)
    ops.sample_posterior(mu, logvar, eps, z, std, kl, work)
    return z, std, kl


def _gradients(dz, dkl, mu, logvar, eps, std):
    """dμ and dlogvar from the operation that a posterior calls, which is E14 + E16."""
    dmu, dlogvar, *work = (np.empty_like(mu) for _ in range(4))
    ops.posterior_backward(dz, dkl, mu, logvar, eps, std, dmu, dlogvar, work)
    return dmu, dlogvar


def E13_reparameterise():
    mu, logvar, eps = _code(0), _code(1), _code(2)
    z, _, _ = _sampled(mu, logvar, eps)
    by_hand = equal("", z, mu + np.sqrt(np.exp(logvar)) * eps)
    sampled = [_moment(sampled_variance_is_declared(logvar=v, reparameterise=ops.reparameterise)) for v in (-3.0, 1.5)]
    return all_hold("z is μ + √σ² · ε, and the variance of 20,000 draws is σ²", by_hand, *sampled)


def E14_reparameterise_backward():
    mu, logvar, eps, dz = _code(0), _code(1), _code(2), _code(3)
    _, std, _ = _sampled(mu, logvar, eps)
    dmu, dlogvar = _gradients(dz, np.zeros(len(mu)), mu, logvar, eps, std)  # the KL counts for nothing
    through_mu = dz * (mu + 1j * H + np.exp(logvar / 2) * eps).imag / H
    through_logvar = dz * (mu + np.exp((logvar + 1j * H) / 2) * eps).imag / H
    claim = "dμ and dlogvar are the derivatives of μ + e^(logvar/2) ε, by complex steps"
    return all_hold(claim, equal("", dmu, through_mu), equal("", dlogvar, through_logvar))


def _kl(mu, logvar):
    return _sampled(mu, logvar, np.zeros_like(mu))[2]


def E15_gaussian_kl():
    mu, logvar = np.array([[0.8, -0.4]]), np.array([[-1.2, 0.5]])
    z = np.linspace(-12, 12, 4001)  # the integral itself, one latent after the other
    total = 0.0
    for m, v in zip(mu[0], logvar[0], strict=True):
        log_q = -0.5 * ((z - m) ** 2 / np.exp(v) + v + np.log(2 * np.pi))
        log_p = -0.5 * (z**2 + np.log(2 * np.pi))
        total += np.sum(np.exp(log_q) * (log_q - log_p)) * (z[1] - z[0])
    draws = _moment(kl_equals_monte_carlo(kl=ops.gaussian_kl))
    claim = "the closed form is the integral of q log(q/p) on a fine grid, and the mean of log(q/p) over 20,000 draws"
    return all_hold(claim, equal("", _kl(mu, logvar), [total]), draws)


def E16_gaussian_kl_backward():
    mu, logvar, dkl = _code(0), _code(1), np.linspace(-1, 1, len(_code(0)))
    dmu, dlogvar = _gradients(np.zeros_like(mu), dkl, mu, logvar, _code(2), _code(3))  # nothing comes through z
    numeric = np.empty((2, *mu.shape))
    for i in np.ndindex(mu.shape):
        step = np.zeros_like(mu, complex)
        step[i] = 1j * H
        numeric[0][i] = (dkl * _kl(mu + step, logvar.astype(complex)).imag).sum() / H
        numeric[1][i] = (dkl * _kl(mu.astype(complex), logvar + step).imag).sum() / H
    return equal("μ and ½(σ² − 1) are the derivatives of the KL, by complex steps", [dmu, dlogvar], numeric)


def E36_negative_elbo():
    """A VAE small enough to integrate over its one latent: every term of the claim is a sum over a fine grid."""
    model = VAE(3, (4,), 1, "tanh", seed=6, dtype=np.float64)
    model.buffer.values *= 2  # away from the first weights, where q is nearly the prior
    x = rng.uniform(6, rng.CHECK, 0, np.arange(5), 3, np.float64)
    by_code = sum(model.forward(x, _code(4, 5, 1)))
    mu, logvar = model.encode(x)
    z = mu + np.exp(logvar / 2) * _code(4, 5, 1)
    p = model.decode(z)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    by_hand = kl - (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)

    grid = np.linspace(-25, 25, 8001)[:, None]
    step, images = grid[1, 0] - grid[0, 0], model.decode(grid)
    log_likelihood = np.log(images) @ x.T + np.log(1 - images) @ (1 - x).T  # (grid, images)
    log_prior = -0.5 * (grid**2 + np.log(2 * np.pi))
    evidence = np.log(np.sum(np.exp(log_prior + log_likelihood), axis=0) * step)
    log_q = -0.5 * ((grid - mu.T) ** 2 / np.exp(logvar.T) + logvar.T + np.log(2 * np.pi))
    posterior = log_prior + log_likelihood - evidence
    q = np.exp(log_q) * step
    negative_elbo = kl - np.sum(q * log_likelihood, axis=0)
    gap = np.sum(q * (log_q - posterior), axis=0)
    pixels = x.astype(np.float32)
    data = Dataset("five images", (1, 3), Split(pixels, None), Split(pixels, None), "made for a check")
    averaged = measure(model, data, threads=1)["-ELBO"].value
    bound = at_most("", np.max(-evidence - negative_elbo), unit="nats above the bound")
    return all_hold(
        "−ELBO is reconstruction + KL written out; it exceeds −log p(x), had by integration, by exactly KL(q ‖ posterior)",
        bound,
        equal("", by_code, by_hand),
        equal("", negative_elbo + evidence, gap, 1e-9),
        equal("", averaged, _one_draw(model, x).mean(), 1e-6),  # images are float32 there
    )


def _one_draw(model, x):
    """−ELBO with the ε that evaluation draws, by hand.   x (N, D) → (N,)"""
    mu, logvar = model.encode(x)
    p = model.decode(mu + np.exp(logvar / 2) * rng.normal(0, rng.EVALUATE, 0, np.arange(len(x)), 1, np.float64))
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    return kl - (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)
