"""The linear VAE's optimum in closed form: probabilistic PCA (Tipping & Bishop, 1999).

Let S be the covariance of the images, λ₁ ≥ λ₂ ≥ … its eigenvalues and u₁, u₂, … its eigenvectors. A linear VAE with
Gaussian pixels says x = W z + b + σ ε, so p(x) = N(b, W Wᵀ + σ² I), and its best ELBO is the best mean of log p(x),
because

- the true posterior N(M⁻¹ Wᵀ (x − b), σ² M⁻¹), M = Wᵀ W + σ² I, has a mean that is affine in x and one covariance for
all x:
  a Dense layer can say that, with a logvar that does not depend on x;
- its covariance is diagonal, as q's must be, exactly when the columns of W are orthogonal. log p(x) does not care how W
is
  rotated; the ELBO does, and picks the principal directions (Lucas et al., 2019).

With orthogonal columns, wₖ = √(λₖ − σ²) uₖ where λₖ > σ², and wₖ = 0 elsewhere. Then Mₖₖ = λₖ, so latent k has the
variance σ²/λₖ, its means have the variance wₖᵀ S wₖ / λₖ² = 1 − σ²/λₖ, and its mean KL is ½ (1 − σ²/λₖ + σ²/λₖ − 1 −
log(σ²/λₖ)) = ½ log(λₖ/σ²). Where λₖ ≤ σ², q is the prior and the KL is 0: the latent has collapsed, and that is
optimal.
"""

from dataclasses import dataclass

import numpy as np

from .. import gate
from ..errors import ConfigError, DataError

LOG_2PI = float(np.log(2 * np.pi))


@dataclass
class PPCA:
    """z ~ N(0, I) in L dimensions, x = W z + b + σ ε in D, at its greatest likelihood. All float64, in nats per
    image."""

    b: np.ndarray  # (D,): the mean image
    W: np.ndarray  # (D, L): orthogonal columns, the longest first; a collapsed latent's is 0
    sigma2: float
    eigenvalues: np.ndarray  # (D,): of the covariance of the images, the largest first
    directions: np.ndarray  # (D, L): the leading eigenvectors
    active: np.ndarray  # (L,): True where the eigenvalue exceeds σ²
    kl: np.ndarray  # (L,): mean KL of each latent
    log_likelihood: np.ndarray  # (N,): log p(x) of each image, which is also its ELBO

    @property
    def collapsed(self):
        """How many latents carry nothing."""
        return int(np.count_nonzero(~self.active))

    def log_marginal(self, x):
        """log p(x) = log N(x; b, W Wᵀ + σ² I) (E41).   x (N, D) → (N,)"""
        C = self.W @ self.W.T + self.sigma2 * np.eye(len(self.b))
        rest = np.atleast_2d(x) - self.b
        squares = np.sum(rest * np.linalg.solve(C, rest.T).T, axis=1)
        return -0.5 * (squares + np.linalg.slogdet(C)[1] + len(self.b) * LOG_2PI)

    def posterior(self, x):
        """p(z|x) = N(M⁻¹ Wᵀ (x − b), σ² M⁻¹),  M = Wᵀ W + σ² I (E44).   x (N, D) → mean (N, L), covariance (L, L)"""
        M = self.W.T @ self.W + self.sigma2 * np.eye(self.W.shape[1])
        return np.linalg.solve(M, self.W.T @ (np.atleast_2d(x) - self.b).T).T, self.sigma2 * np.linalg.inv(M)


def ppca_optimum(x, latent, sigma=None):
    """W = U (Λ − σ² I)^½ and σ² = the mean of the eigenvalues that are left out (E56; Tipping & Bishop, 1999).

    x (N, D) · latent L ≤ D · sigma: held fixed at this number, or None for the best → PPCA. With a fixed σ, directions
    whose eigenvalue is not above σ² get no latent. Raises ConfigError for sizes or a sigma that cannot be, DataError
    for images that leave no noise to learn: their likelihood has no maximum.
    """
    x = gate.array(x, "x").astype(np.float64)
    if x.ndim != 2 or x.size == 0 or not np.isfinite(x).all():
        raise DataError(
            f"ppca_optimum takes finite numbers (images, pixels), not an array of shape {x.shape} holding anything else"
        )
    largest = x.shape[1] - (sigma is None)
    if not 1 <= gate.whole("latent", latent, 0) <= largest:
        raise ConfigError(f"latent must be between 1 and {largest} for {x.shape[1]} pixels, not {latent}")
    if sigma is not None:
        gate.number("sigma", sigma, above=0)
    b = x.mean(axis=0)
    values, vectors = np.linalg.eigh((x - b).T @ (x - b) / len(x))
    values, U = np.maximum(values[::-1], 0), vectors[:, ::-1][:, :latent]  # rounding makes a 0 negative
    sigma2 = float(values[latent:].mean() if sigma is None else sigma**2)
    if sigma2 <= 1e-14 * values[0]:
        raise DataError(
            f"{latent} latents explain these images without noise, so no σ is the best one: take fewer, or fix sigma"
        )
    active = values[:latent] > sigma2
    W = U * np.sqrt(np.where(active, values[:latent] - sigma2, 0))
    kl = 0.5 * np.log(np.where(active, values[:latent], sigma2) / sigma2)
    found = PPCA(b, W, sigma2, values, U, active, kl, np.empty(0))
    found.log_likelihood = found.log_marginal(x)
    return found
