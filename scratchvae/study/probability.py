"""The book's third chapter as functions: divergences, the evidence lower bound, and estimates of log p(x). In nats."""

import numpy as np


def cross_entropy(p, q):
    """−Σ p log q = H(p) + KL(p ‖ q) (E42): what maximum likelihood makes small.   p, q (K,) probabilities → a number"""
    return float(-np.sum(p * np.log(q)))


def divergence(p, q):
    """KL(p ‖ q) = Σ p log(p / q) ≥ 0 (E43).   p, q (K,) probabilities → a number"""
    return float(np.sum(p * np.log(p / q)))


def prior_estimate(log_likelihoods):
    """log of the mean of p(x|z) over z drawn from the prior (E40): right on average, and useless beyond a few dimensions.

    log_likelihoods (K, …): log p(x|z_k) → (…)
    """
    return log_mean_exp(log_likelihoods)


def log_mean_exp(a):
    """log of the mean of eᵃ over the first axis; the largest is taken out, so that nothing overflows.   (K, …) → (…)"""
    top = a.max(axis=0)
    return top + np.log(np.exp(a - top).mean(axis=0))


def jensen_gap(w):
    """log E[w] − E[log w] ≥ 0 (E45): how far the mean of the logarithm stays below the logarithm of the mean.   w (K,) > 0"""
    return float(np.log(np.mean(w)) - np.mean(np.log(w)))


def elbo_terms(log_joint, log_q):
    """log p(x, z) − log q(z|x) for z drawn from q(z|x): their mean is the ELBO (E46).   (K,), (K,) → (K,)"""
    return log_joint - log_q


def gaussian_divergence(mean_q, cov_q, mean_p, cov_p):
    """KL between two Gaussians (E49).   means (L,), covariances (L, L) → a number

    ½ (tr Σp⁻¹ Σq + (μp − μq)ᵀ Σp⁻¹ (μp − μq) − L + log det Σp − log det Σq)
    """
    rest = mean_p - mean_q
    trace = np.trace(np.linalg.solve(cov_p, cov_q))
    logs = np.linalg.slogdet(cov_p)[1] - np.linalg.slogdet(cov_q)[1]
    return float(0.5 * (trace + rest @ np.linalg.solve(cov_p, rest) - len(rest) + logs))


def elbo_gap(model, x, mean, cov):
    """log p(x) − ELBO = KL(q(z|x) ‖ p(z|x)) (E47) for q = N(mean, cov) and a LinearGaussian.   x (D,) → a number"""
    posterior_mean, posterior_cov = model.posterior(x)
    return gaussian_divergence(mean, cov, posterior_mean[0], posterior_cov)


def importance_weighted_bound(log_weights):
    """log of the mean of K importance weights (E48; Burda et al., 2015): K = 1 is the ELBO, K → ∞ is log p(x).

    log_weights (K, …): log p(x, z_k) − log q(z_k|x), z_k drawn from q → (…), whose mean over draws is the bound
    """
    return log_mean_exp(log_weights)
