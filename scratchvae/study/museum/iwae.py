"""The importance-weighted autoencoder (Burda, Grosse & Salakhutdinov, 2015): small, and here so that its bugs can be shown.

    bound_K = E[ log (1/K) Σ_k w_k ],   w_k = p(x, z_k) / q(z_k|x),   z_k ~ q(z|x)

K = 1 is the ELBO, and every larger K bounds log p(x) more tightly. Its KL is part of the weights, so no closed form is used.
"""

import numpy as np

from ... import rng
from ...errors import ConfigError
from ...models import VAE
from ...models.objective import Weighted

LOG_2PI = float(np.log(2 * np.pi))
CHUNK = 50  # importance samples at a time, which bounds the memory that an estimate takes


def bound(log_w):
    """log (1/K) Σ_k w_k (E48), the largest weight taken out so that nothing overflows.   log_w (B, K) → (B,)"""
    top = log_w.real.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(log_w - top).mean(axis=1))


def bound_backward(dbound, log_w):
    """d log w_k = dbound · w_k / Σ w: the normalised weights.   dbound (B, 1) · log_w (B, K) → (B, K)"""
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    return dbound * w / w.sum(axis=1, keepdims=True)


class IWAE(VAE):
    """A VAE trained on the importance-weighted bound with K draws of z per image."""

    kind = "iwae"
    terms = ("bound",)

    def __init__(self, *arguments, samples=5, **options):
        """The arguments of VAE, and samples K ≥ 1. Raises ConfigError."""
        super().__init__(*arguments, **options)
        if samples < 1 or self.beta != 1:
            raise ConfigError(f"the bound takes samples of at least 1 and no beta, not {samples} and {self.beta}")
        self.samples, self.objective = samples, Weighted(bound=1.0)
        self.config["samples"] = samples

    @property
    def noise_columns(self):
        return self.samples * self.latent

    def forward(self, x, eps=None):
        """x (B, D) · eps (B, K L) → (−bound (B,),), nats per image"""
        eps = np.zeros((len(x), self.noise_columns), x.dtype) if eps is None else eps
        self.log_w = self.log_weights(x, eps)
        return (-bound(self.log_w),)

    def log_weights(self, x, eps):
        """log w_k = log p(x|z_k) + log p(z_k) − log q(z_k|x).   x (B, D) · eps (B, K L) → (B, K)"""
        B, L = len(x), self.latent
        K = eps.shape[1] // L
        code = np.repeat(self.encoder.forward(x), K, axis=0)  # image by image: (B K, 2 L)
        self.eps, mu, logvar = eps.reshape(B * K, L), code[:, :L], code[:, L:]
        self.std, self.z = np.empty_like(mu), np.empty_like(mu)
        self.ops.reparameterise(mu, logvar, self.eps, self.z, self.std)
        nll = self.likelihood.forward(self.decoder.forward(self.z), np.repeat(x, K, axis=0))
        log_p = -0.5 * (self.z**2 + LOG_2PI).sum(axis=1)
        log_q = -0.5 * (self.eps**2 + logvar + LOG_2PI).sum(axis=1)
        return (log_p - nll - log_q).reshape(B, K)

    def backward(self, dloss):
        """dloss (B,), a number for each image. Writes the gradient of every Parameter."""
        B, K = self.log_w.shape
        dlog_w = bound_backward(-dloss[:, None], self.log_w).reshape(B * K, 1)
        dz = self.decoder.backward(self.likelihood.backward(-dlog_w[:, 0])[0])
        dz -= dlog_w * self.z  # from log p(z)
        dcode = np.empty((B * K, 2 * self.latent), dz.dtype)
        dmu, dlogvar = dcode[:, : self.latent], dcode[:, self.latent :]
        self.ops.reparameterise_backward(dz, self.eps, self.std, dmu, dlogvar)
        dlogvar += 0.5 * dlog_w  # from −log q(z|x)
        self.encoder.backward(dcode.reshape(B, K, -1).sum(axis=1))


def log_likelihood(model, x, samples, seed=0):
    """log p(x) estimated as the bound with this many importance samples.   x (B, D) → (B,), nats per image

    ε of image i and draw k is normal(seed, EVALUATE, k, i).
    """
    rows, total = np.arange(len(x)), np.full(len(x), -np.inf)
    for first in range(0, samples, CHUNK):
        draws = np.arange(first, min(first + CHUNK, samples))
        eps = rng.normal(seed, rng.EVALUATE, draws, rows, model.latent, model.dtype.type)  # (draws, B, L)
        log_w = model.log_weights(x, np.concatenate(list(eps), axis=1))
        total = np.logaddexp(total, bound(log_w) + np.log(len(draws)))
    return total - np.log(samples)
