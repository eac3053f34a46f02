"""Everything of ours that has a derivative, as modules that gradcheck can take."""

import numpy as np

from .. import nn, rng
from ..models import VAE, Autoencoder
from ..models.likelihood import Bernoulli, Gaussian
from .gradcheck import gradcheck

LATENT, PIXELS, ROWS = 3, 6, 3


class LikelihoodOf(nn.Module):
    """A likelihood with its images held still: a function of the decoder's output alone.   (B, D) → {"nll": (B,)}"""

    def __init__(self, likelihood, images):
        self.likelihood, self.images, self.weights = likelihood, images, {"nll": 1.0}

    def forward(self, output):
        return {"nll": self.likelihood.forward(output, self.images.astype(output.dtype))}

    def backward(self, scale):
        return self.likelihood.backward(scale)


class SquaredError(nn.Module):
    """squared_error (E21, E22) of an output against images held still.   (B, D) → {"error": (B,)}"""

    def __init__(self, images):
        self.images, self.weights = images, {"error": 1.0}

    def forward(self, y):
        self.y = y
        return {"error": self.ops.squared_error(y, self.images, np.empty(len(y), y.dtype), np.empty_like(y))}

    def backward(self, scale):
        return self.ops.squared_error_backward(scale, self.y, self.images, np.empty_like(self.y))


class Reparameterise(nn.Module):
    """z = μ + σ ε (E13, E14) with ε held still.   [μ, logvar] (B, 2L) → z (B, L)"""

    def __init__(self, eps):
        self.eps = eps

    def forward(self, code):
        mu, logvar = np.hsplit(code, 2)
        z, self.std = np.empty_like(mu), np.empty_like(mu)
        return self.ops.reparameterise(mu, logvar, self.eps, z, self.std)

    def backward(self, dz):
        dmu, dlogvar = np.empty_like(dz), np.empty_like(dz)
        self.ops.reparameterise_backward(dz, self.eps, self.std, dmu, dlogvar)
        return np.hstack([dmu, dlogvar])


class KL(nn.Module):
    """KL(q ‖ N(0, I)) (E15, E16).   [μ, logvar] (B, 2L) → {"kl": (B,)}"""

    def __init__(self):
        self.weights = {"kl": 1.0}

    def forward(self, code):
        self.mu, self.logvar = np.hsplit(code, 2)
        work = np.empty_like(self.mu), np.empty_like(self.mu)
        return {"kl": self.ops.gaussian_kl(self.mu, self.logvar, np.empty(len(code), code.dtype), work)}

    def backward(self, scale):
        dmu, dlogvar = np.empty_like(self.mu), np.empty_like(self.mu)
        self.ops.gaussian_kl_backward(scale, self.mu, self.logvar, dmu, dlogvar)
        return np.hstack([dmu, dlogvar])


def cases(seed=0):
    """(name, module, width of its input) of each. Sizes are small: a formula is as wrong at 3 units as at 400."""
    images = rng.uniform(seed, rng.CHECK, 5, np.arange(ROWS), PIXELS, np.float64)
    eps = rng.normal(seed, rng.CHECK, 6, np.arange(ROWS), LATENT, np.float64)
    for name, activation in nn.ACTIVATIONS.items():
        yield name, activation(), PIXELS
    yield "dense", nn.Dense(PIXELS, LATENT), PIXELS
    yield "sequential", nn.Sequential(nn.Dense(PIXELS, 4), nn.Tanh(), nn.Dense(4, LATENT)), PIXELS
    yield "bernoulli", LikelihoodOf(Bernoulli(), images), PIXELS
    yield "gaussian, learned sigma", LikelihoodOf(Gaussian(), images), PIXELS
    yield "gaussian, fixed sigma", LikelihoodOf(Gaussian(0.3), images), PIXELS
    yield "squared error", SquaredError(images), PIXELS
    yield "reparameterise", Reparameterise(eps), 2 * LATENT
    yield "kl", KL(), 2 * LATENT
    sizes = {"data_size": PIXELS, "hidden": (5, 4), "latent": LATENT, "seed": seed}
    for likelihood in ("bernoulli", "gaussian"):
        yield f"vae, {likelihood}", VAE(**sizes, likelihood=likelihood, beta=0.7), PIXELS
        yield f"autoencoder, {likelihood}", Autoencoder(**sizes, likelihood=likelihood), PIXELS


def check_all(seed=0, method="complex"):
    """gradcheck of every case → {name: Report}, in order"""
    return {
        name: gradcheck(module, columns=columns, rows=ROWS, seed=seed, method=method, name=name)
        for name, module, columns in cases(seed)
    }
