"""The diagonal Gaussian posterior: sampling through it, and its divergence from N(0, I) (Kingma & Welling, 2014).

logvar is log σ², everywhere. L is the latent size.
"""

import numpy as np


def reparameterise(mu, logvar, eps, z, std):
    """z = μ + σ ε,  σ = exp(logvar / 2) (E13).   mu, logvar, eps (B, L) → writes std and z (B, L)"""
    np.multiply(logvar, 0.5, out=std)
    np.exp(std, out=std)
    np.multiply(std, eps, out=z)
    z += mu
    return z


def reparameterise_backward(dz, eps, std, dmu, dlogvar):
    """dμ = dz,  dlogvar = dz ε σ / 2 (E14).   dz, eps, std (B, L) → writes dmu, dlogvar (B, L)"""
    np.copyto(dmu, dz)
    np.multiply(dz, eps, out=dlogvar)
    dlogvar *= std
    dlogvar *= 0.5


def gaussian_kl(mu, logvar, out, work):
    """KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ_latents (μ² + σ² − 1 − logvar) (E15).   (B, L) → out (B,), nats per image

    work is two (B, L) scratch arrays. σ² − 1 is expm1(logvar): near the prior, exp(logvar) rounds to 1 and takes the digits
    that count with it.
    """
    total, term = work
    np.expm1(logvar, out=total)
    total -= logvar
    np.multiply(mu, mu, out=term)
    total += term
    np.sum(total, axis=1, out=out)
    out *= 0.5
    return out


def gaussian_kl_backward(dkl, mu, logvar, dmu, dlogvar):
    """dμ = dkl · μ,  dlogvar = dkl · ½ (σ² − 1) (E16).   dkl (B,), a number for each row → writes dmu, dlogvar (B, L)"""
    np.multiply(mu, dkl[:, None], out=dmu)
    np.expm1(logvar, out=dlogvar)
    dlogvar *= 0.5 * dkl[:, None]


def sample_posterior(mu, logvar, eps, z, std, kl, work):
    """reparameterise, then gaussian_kl (E13, E15).   mu, logvar, eps (B, L) → writes z, std (B, L), kl (B,). work: two (B, L)"""
    gaussian_kl(mu, logvar, kl, work)
    return reparameterise(mu, logvar, eps, z, std)


def posterior_backward(dz, dkl, mu, logvar, eps, std, dmu, dlogvar, work):
    """Two gradients meet at μ and logvar, one through z, one from the KL, and add up (E14 + E16).   dz, eps, std (B, L)
    · dkl (B,) → writes dmu, dlogvar (B, L). work: two (B, L)"""
    from_kl = work
    reparameterise_backward(dz, eps, std, dmu, dlogvar)
    gaussian_kl_backward(dkl, mu, logvar, *from_kl)
    dmu += from_kl[0]
    dlogvar += from_kl[1]
