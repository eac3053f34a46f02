"""The linear VAE, whose every integral has a closed form: at the probabilistic-PCA optimum the ELBO is log p(x) itself.

The reference is the real package's own algebra (`study.linear_gaussian`), never the copy's.
"""

import numpy as np

from ...linear_gaussian import probabilistic_pca
from ...probability import elbo_gap
from . import small

LATENT, PIXELS, ROWS = 2, 6, 40
SHIFT = 0.7  # of a posterior that is wrong on purpose, in its standard deviations


def closed_form(copy):
    """−ELBO = −log p(x) at the optimum; the importance-weighted bound is exact there, and tightens where q is wrong."""
    x, best = _data_and_optimum()
    truth = best.log_marginal(x)

    draws = 500
    model = _linear(copy["models.vae"].VAE, best)
    reconstruction, kl = model.forward(np.tile(x, (draws, 1)), small.normal(0, draws * ROWS, LATENT))
    off = reconstruction + kl + np.tile(truth, draws)
    z_score = _standard_errors(off)
    yield (
        abs(z_score) < 4,
        z_score,
        (f"linear VAE at the PPCA optimum: −ELBO is {off.mean():+.4f} nats off −log p(x) ({z_score:+.1f} standard errors)"),
    )

    museum = copy["study.museum.iwae"]
    model = _linear(museum.IWAE, best)
    for samples in (1, 5):
        got = -model.forward(x, small.normal(samples, ROWS, samples * LATENT))[0]
        holds, worst = small_enough(got, truth)
        yield holds, worst, f"with the exact posterior the {samples}-sample bound is off log p(x) by {worst:.2g} nats"

    mean, cov = best.posterior(x)
    gap = np.array([elbo_gap(best, x[i], mean[i] + SHIFT * np.sqrt(np.diag(cov)), cov) for i in range(ROWS)])
    model = _linear(museum.IWAE, best, SHIFT)
    one = -_bounds(model, x, 1, 500) - (gap - truth)
    z_score = _standard_errors(one)
    yield abs(z_score) < 4, z_score, f"with a shifted posterior the ELBO is {-one.mean():+.3f} nats off its closed form"
    many = truth - _bounds(model, x, 50, 50)
    z_score = _standard_errors(many)
    yield z_score > -4, z_score, f"the 50-sample bound lies {-many.mean():+.3f} nats above log p(x), which it bounds from below"
    left = many.mean() / gap.mean()
    yield left < 0.5, left, f"50 samples should close most of the ELBO's gap to log p(x), and leave {left:.0%} of it"


def small_enough(got, wanted, tolerance=1e-9):
    worst = float(np.abs(got - wanted).max())
    return worst < tolerance, worst


def _data_and_optimum():
    x = small.normal(90, ROWS, LATENT) @ small.normal(91, LATENT, PIXELS) + 0.4 * small.normal(92, ROWS, PIXELS)
    return x, probabilistic_pca(x, LATENT)


def _linear(model_class, best, shift=0.0):
    """A model without hidden layers whose decoder is `best`, and whose encoder is its exact posterior (shifted)."""
    sigma = float(np.sqrt(best.variance))
    model = model_class(PIXELS, (), LATENT, likelihood="gaussian", sigma=sigma, dtype=np.float64)
    encoder, decoder = model.encoder.layers[0], model.decoder.layers[0]
    decoder.W.value[:], decoder.b.value[:] = best.W.T, best.b
    origin, cov = best.posterior(np.zeros((1, PIXELS)))
    slope = best.posterior(np.eye(PIXELS))[0] - origin
    deviations = np.sqrt(np.diag(cov))  # the columns of W are orthogonal, so the posterior's covariance is diagonal
    encoder.W.value[:] = np.hstack([slope, np.zeros_like(slope)])
    encoder.b.value[:] = np.concatenate([origin[0] + shift * deviations, 2 * np.log(deviations)])
    return model


def _bounds(model, x, samples, repeats):
    """The bound of every image, `repeats` times.   → (repeats, ROWS)"""
    eps = small.normal(10 + samples, repeats * len(x), samples * LATENT)
    return -model.forward(np.tile(x, (repeats, 1)), eps)[0].reshape(repeats, len(x))


def _standard_errors(values):
    """How many standard errors the mean is from 0; a mean of equal values has none, and counts as 0 when it is rounding."""
    values = np.ravel(values)
    error = values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean() / max(error, 1e-12))
