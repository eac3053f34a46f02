"""The linear model, the one VAE whose every integral has a closed form: the exact answer to hold estimates against.

z ~ N(0, I) in L dimensions,  x = W z + b + σ ε in D.   W (D, L) · b (D,) · variance σ² > 0. All float64, in nats.
"""

import numpy as np

LOG_2PI = float(np.log(2 * np.pi))


class LinearGaussian:
    """p(z) = N(0, I),  p(x|z) = N(W z + b, σ² I)."""

    def __init__(self, W, b, variance):
        self.W, self.b, self.variance = np.atleast_2d(np.asarray(W, float)), np.asarray(b, float), float(variance)

    def log_joint(self, x, z):
        """log p(x, z) = log p(z) + log p(x|z).   x (D,) or (N, D), z (N, L) → (N,)"""
        return log_standard_normal(z) + self.log_likelihood(x, z)

    def log_likelihood(self, x, z):
        """log p(x|z).   x (D,) or (N, D), z (N, L) → (N,)"""
        rest = x - self.b - z @ self.W.T
        return -0.5 * (np.sum(rest**2, axis=1) / self.variance + rest.shape[1] * (np.log(self.variance) + LOG_2PI))

    def log_marginal(self, x):
        """log p(x) = log N(x; b, W Wᵀ + σ² I) (E41).   x (N, D) → (N,)"""
        C = self.W @ self.W.T + self.variance * np.eye(len(self.b))
        rest = np.atleast_2d(x) - self.b
        squares = np.sum(rest * np.linalg.solve(C, rest.T).T, axis=1)
        return -0.5 * (squares + np.linalg.slogdet(C)[1] + len(self.b) * LOG_2PI)

    def posterior(self, x):
        """p(z|x) = N(M⁻¹ Wᵀ (x − b), σ² M⁻¹),  M = Wᵀ W + σ² I (E44).   x (N, D) → mean (N, L), covariance (L, L)"""
        M = self.W.T @ self.W + self.variance * np.eye(self.W.shape[1])
        return np.linalg.solve(M, self.W.T @ (np.atleast_2d(x) - self.b).T).T, self.variance * np.linalg.inv(M)


def log_standard_normal(z):
    """log N(z; 0, I).   z (N, L) → (N,)"""
    return -0.5 * (np.sum(z**2, axis=1) + z.shape[1] * LOG_2PI)


def pca(x, latent):
    """The best linear bottleneck: project on the leading eigenvectors of the covariance (E39; Baldi & Hornik, 1989).

    x (N, D) → U (D, L), every eigenvalue (D,) from the largest down. The mean squared error that is left is the sum of the
    eigenvalues from the (L+1)-th on.
    """
    centred = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    return vectors[:, ::-1][:, :latent], values[::-1]


def probabilistic_pca(x, latent):
    """The LinearGaussian of greatest likelihood: W = U (Λ − σ² I)^½, σ² = mean of the other eigenvalues (E56; Tipping & Bishop, 1999).

    x (N, D) → LinearGaussian, the one with R = I. A latent is used only if its eigenvalue exceeds σ².
    """
    U, values = pca(x, latent)
    variance = float(values[latent:].mean())
    return LinearGaussian(U * np.sqrt(np.maximum(values[:latent] - variance, 0)), x.mean(axis=0), variance)
