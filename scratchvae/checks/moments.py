"""Do samples have the distribution that the formulas declare? What a derivative check cannot see.

A gradient check compares backward with forward, so it passes a forward that is wrong and consistently differentiated: a
z sampled with exp(logvar) for σ, a KL without its ½, pixels drawn from something else than the likelihood scores. Here
a mean over many draws is compared with its declared value, in units of its standard error.

The functions under test can be handed in, so that a wrong one can be tried.
"""

from dataclasses import asdict, dataclass

import numpy as np

from .. import gate, rng
from ..errors import ConfigError
from ..ops import numpy as ops

LOGVAR = {"above": -600, "below": 600}  # beyond them exp(logvar) leaves float64

# A right function exceeds 4 standard errors once in 16,000 seeds; a wrong one is off by dozens.
Z_LIMIT = 4.0
# Steps of the CHECK stream, apart from those of `objective` and `cases`.
_Z, _KL, _PIXELS, _ENTROPY = range(100, 104)


@dataclass
class Moment:
    """A mean over draws, what it should be, and how many standard errors lie between."""

    name: str
    estimate: float
    expected: float
    standard_error: float
    draws: int
    unit: str = ""

    @property
    def z_score(self):
        return (self.estimate - self.expected) / self.standard_error

    @property
    def ok(self):
        return bool(abs(self.z_score) <= Z_LIMIT)

    def to_dict(self):
        return {**asdict(self), "z_score": self.z_score, "ok": self.ok}

    def __str__(self):
        numbers = f"{self.estimate:.5g} ± {self.standard_error:.1g} {self.unit}, declared {self.expected:.5g}"
        return f"{self.name}: {'ok' if self.ok else 'FAIL'} ({numbers}, z = {self.z_score:+.2f}, {self.draws:,} draws)"


def sampled_variance_is_declared(mu=0.3, logvar=-1.2, draws=20_000, seed=0, reparameterise=ops.reparameterise):
    """Var z = exp(logvar) for z = reparameterise(μ, logvar, ε) (E13) → Moment

    The squared deviation of a normal from its mean has the standard deviation √2 σ², hence the standard error.
    """
    mu, logvar, draws = gate.number("mu", mu), gate.number("logvar", logvar, **LOGVAR), _several(draws)
    z = _draw_z(mu, logvar, draws, seed, _Z, reparameterise)[:, 0]
    expected = float(np.exp(logvar))
    estimate = float(np.mean((z - mu) ** 2))
    return Moment(f"variance of z, logvar {logvar:g}", estimate, expected, expected * np.sqrt(2 / draws), draws)


def kl_equals_monte_carlo(
    mu=(0.8, -0.4, 0.0), logvar=(-1.2, 0.5, 0.0), draws=20_000, seed=0, kl=ops.gaussian_kl,
    reparameterise=ops.reparameterise
):
    """KL(q ‖ p) = E_q[log q(z) − log p(z)] (E15), with z drawn by reparameterise.   mu, logvar (L,) → Moment"""
    mu, logvar, draws = (
        np.atleast_1d(gate.floats("mu", mu)),
        np.atleast_1d(gate.floats("logvar", logvar)),
        _several(draws),
    )
    if mu.ndim != 1 or mu.size == 0 or logvar.shape not in (mu.shape, (1,)):
        raise ConfigError(f"mu and logvar must be lists of one length, not of shapes {mu.shape} and {logvar.shape}")
    for value in logvar:
        gate.number("logvar", value, **LOGVAR)
    z = _draw_z(mu, logvar, draws, seed, _KL, reparameterise)
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar).sum(axis=1)  # log 2π stands in both, and cancels
    log_p = -0.5 * (z**2).sum(axis=1)
    work = np.empty((1, mu.size)), np.empty((1, mu.size))
    expected = float(kl(mu[None], logvar[None], np.empty(1), work)[0])
    return _mean("closed-form KL", log_q - log_p, expected, "nats")


def bernoulli_pixels_have_their_mean(logit=0.7, draws=20_000, seed=0, probability=ops.sigmoid, nll=ops.bernoulli_nll):
    """Pixels drawn with probability(logit) are on as often as the likelihood says: exp(−nll of x = 1) (E17) → Moment

    The standard error is the declared √(p (1 − p) / n).
    """
    logits, draws = np.array([[float(gate.number("logit", logit, above=-30, below=30))]]), _several(draws)
    p = probability(logits, np.empty_like(logits))
    pixels = rng.uniform(seed, rng.CHECK, _PIXELS, np.arange(draws), 1, np.float64) < p
    work = np.empty((1, 1)), np.empty((1, 1))
    expected = float(np.exp(-nll(logits, np.ones((1, 1)), np.empty(1), work)[0]))
    error = float(np.sqrt(expected * (1 - expected) / draws))
    return Moment(f"Bernoulli pixel, logit {logit:g}", float(pixels.mean()), expected, error, draws)


def gaussian_nll_averages_to_the_entropy(mean=0.4, logvar=-1.5, draws=20_000, seed=0, nll=ops.gaussian_nll):
    """E[−log p(x)] over x ~ N(m, σ²) is the entropy ½ (1 + log 2π + logvar), so p is a density (E19) → Moment"""
    mean, logvar, draws = gate.number("mean", mean), gate.number("logvar", logvar, **LOGVAR), _several(draws)
    x = mean + np.exp(logvar / 2) * rng.normal(seed, rng.CHECK, _ENTROPY, np.arange(draws), 1, np.float64)
    scores = nll(np.full_like(x, mean), np.full(1, float(logvar)), x, np.empty(draws), np.empty_like(x))
    expected = 0.5 * (1 + np.log(2 * np.pi) + logvar)
    return _mean("Gaussian negative log-likelihood", scores, float(expected), "nats")


def check_moments(seed=0, draws=20_000):
    """Each of the above, at a few places → [Moment]"""
    return [
        *(sampled_variance_is_declared(logvar=v, draws=draws, seed=seed) for v in (-3.0, 0.0, 1.5)),
        kl_equals_monte_carlo(draws=draws, seed=seed),
        *(bernoulli_pixels_have_their_mean(a, draws, seed) for a in (-2.0, 0.0, 0.7)),
        gaussian_nll_averages_to_the_entropy(draws=draws, seed=seed),
    ]


def _several(draws):
    """Two at least, since their spread is the standard error."""
    return gate.whole("draws", draws, 2, 10**8)


def _draw_z(mu, logvar, draws, seed, step, reparameterise):
    mu = np.tile(np.atleast_1d(np.asarray(mu, float)), (draws, 1))
    logvar = np.broadcast_to(np.atleast_1d(np.asarray(logvar, float)), mu.shape)
    eps = rng.normal(seed, rng.CHECK, step, np.arange(draws), mu.shape[1], np.float64)
    return reparameterise(mu, logvar, eps, np.empty_like(mu), np.empty_like(mu))


def _mean(name, values, expected, unit):
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Moment(name, float(values.mean()), expected, error, len(values), unit)
