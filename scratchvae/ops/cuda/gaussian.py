"""The Gaussian posterior: twins of ops.numpy.gaussian, and the fused forward and backward.

mu and logvar (and dmu and dlogvar) may be the two halves of one (B, 2L) array; other arrays are contiguous.
"""

from .check import check, row_stride
from .launch import C_NAMES, int32, launch, per_element

_FILE = "gaussian.cu"
_WARPS = 4  # per block, one row each


def reparameterise(mu, logvar, eps, z, std):
    """z = μ + σ ε,  σ = exp(logvar / 2) (E13).   mu, logvar, eps (B, L) → writes std and z (B, L)"""
    dtype = check("reparameterise", eps=(eps, mu.shape), z=(z, mu.shape), std=(std, mu.shape))
    stride = row_stride("reparameterise", mu.shape, dtype, mu=mu, logvar=logvar)
    per_element(_FILE, f"reparameterise<{C_NAMES[dtype]}>", mu.size, (mu, logvar, int32(stride), eps, z, std, *_sizes(mu)))
    return z


def reparameterise_backward(dz, eps, std, dmu, dlogvar):
    """dμ = dz,  dlogvar = dz ε σ / 2 (E14).   dz, eps, std (B, L) → writes dmu, dlogvar (B, L)"""
    dtype = check("reparameterise_backward", dz=(dz, dz.shape), eps=(eps, dz.shape), std=(std, dz.shape))
    stride = row_stride("reparameterise_backward", dz.shape, dtype, dmu=dmu, dlogvar=dlogvar)
    arguments = dz, eps, std, dmu, dlogvar, int32(stride), *_sizes(dz)
    per_element(_FILE, f"reparameterise_backward<{C_NAMES[dtype]}>", dz.size, arguments)


def gaussian_kl(mu, logvar, out, work=None):
    """KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ_latents (μ² + σ² − 1 − logvar) (E15).   (B, L) → out (B,). work is not used."""
    dtype = check("gaussian_kl", out=(out, mu.shape[:1]))
    stride = row_stride("gaussian_kl", mu.shape, dtype, mu=mu, logvar=logvar)
    _per_row(f"gaussian_kl<{C_NAMES[dtype]}>", len(mu), (mu, logvar, int32(stride), out, *_sizes(mu)))
    return out


def gaussian_kl_backward(dkl, mu, logvar, dmu, dlogvar):
    """dμ = dkl · μ,  dlogvar = dkl · ½ (σ² − 1) (E16).   dkl (B,), a number for each row → writes dmu, dlogvar (B, L)"""
    dtype = check("gaussian_kl_backward", dkl=(dkl, mu.shape[:1]))
    stride_in = row_stride("gaussian_kl_backward", mu.shape, dtype, mu=mu, logvar=logvar)
    stride = row_stride("gaussian_kl_backward", mu.shape, dtype, dmu=dmu, dlogvar=dlogvar)
    arguments = dkl, mu, logvar, int32(stride_in), dmu, dlogvar, int32(stride), *_sizes(mu)
    per_element(_FILE, f"gaussian_kl_backward<{C_NAMES[dtype]}>", mu.size, arguments)


def sample_posterior(mu, logvar, eps, z, std, kl, work=None):
    """reparameterise, then gaussian_kl, in one launch (E13, E15).   mu, logvar, eps (B, L) → writes z, std (B, L), kl (B,)

    work is not used.
    """
    shape = mu.shape
    dtype = check("sample_posterior", eps=(eps, shape), z=(z, shape), std=(std, shape), kl=(kl, shape[:1]))
    stride = row_stride("sample_posterior", shape, dtype, mu=mu, logvar=logvar)
    _per_row(f"sample_posterior<{C_NAMES[dtype]}>", len(mu), (mu, logvar, int32(stride), eps, z, std, kl, *_sizes(mu)))
    return z


def posterior_backward(dz, dkl, mu, logvar, eps, std, dmu, dlogvar, work=None):
    """Two gradients meet at μ and logvar and add up, in one launch (E14 + E16).   dz, eps, std (B, L) · dkl (B,) → writes dmu,
    dlogvar (B, L). work is not used."""
    shape = mu.shape
    dtype = check("posterior_backward", dz=(dz, shape), dkl=(dkl, shape[:1]), eps=(eps, shape), std=(std, shape))
    stride_in = row_stride("posterior_backward", mu.shape, dtype, mu=mu, logvar=logvar)
    stride = row_stride("posterior_backward", mu.shape, dtype, dmu=dmu, dlogvar=dlogvar)
    arguments = dz, dkl, mu, logvar, int32(stride_in), eps, std, dmu, dlogvar, int32(stride), *_sizes(mu)
    per_element(_FILE, f"posterior_backward<{C_NAMES[dtype]}>", mu.size, arguments)


def _sizes(array):
    return tuple(map(int32, array.shape))


def _per_row(expression, rows, arguments):
    launch(_FILE, expression, (-(-rows // _WARPS),), (32 * _WARPS,), arguments)
