"""Several draws of z for each image: twins of ops.numpy.importance."""

import numpy as np

from .check import check, row_stride
from .launch import C_NAMES, int32, launch, per_element

_FILE = "importance.cu"
_WARPS = 4  # per block, one row each


def repeat_rows(x, out):
    """Each row of x K times, one after the other.   x (B, …) → out (B K, …)"""
    row = x.size // max(1, len(x))
    dtype = check("repeat_rows", x=(x, x.shape), out=(out, (len(out), *x.shape[1:])))
    per_element(_FILE, f"repeat_rows<{C_NAMES[dtype]}>", out.size, (x, out, *_copies(x, out), int32(row)))
    return out


def repeat_rows_backward(dY, out):
    """The gradients of a row's copies add up.   dY (B K, …) → out (B, …)"""
    row = out.size // max(1, len(out))
    dtype = check("repeat_rows_backward", out=(out, out.shape), dY=(dY, (len(dY), *out.shape[1:])))
    per_element(_FILE, f"repeat_rows_backward<{C_NAMES[dtype]}>", out.size, (dY, out, *_copies(out, dY), int32(row)))
    return out


def sampled_kl(z, eps, logvar, out, work=None):
    """log q(z|x) − log p(z) = ½ Σ_latents z² − ε² − log σ².   z, eps, logvar (N, L) → out (N,), nats. work is not used."""
    dtype = check("sampled_kl", z=(z, z.shape), eps=(eps, z.shape), out=(out, z.shape[:1]))
    stride = row_stride("sampled_kl", z.shape, dtype, logvar=logvar)
    arguments = z, eps, logvar, int32(stride), out, *map(int32, z.shape)
    launch(_FILE, f"sampled_kl<{C_NAMES[dtype]}>", (-(-len(z) // _WARPS),), (32 * _WARPS,), arguments)
    return out


def importance_loss(nll, kl, out, w):
    """−log (1/K) Σ_k e^(−nll_k − kl_k) (E93).   nll, kl (B K,) → out (B,), and the normalised weights in w (B, K)"""
    (B, K), many = w.shape, (w.size,)
    dtype = check("importance_loss", nll=(nll, many), kl=(kl, many), out=(out, (B,)), w=(w, (B, K)))
    arguments = nll, kl, out, w, int32(B), int32(K)
    launch(_FILE, f"importance_loss<{C_NAMES[dtype]}>", (-(-B // _WARPS),), (32 * _WARPS,), arguments)
    return out


def importance_loss_backward(dloss, w, out):
    """dnll_k = dkl_k = dloss · w_k / Σ w.   dloss (B,) · w (B, K) → out (B K,)"""
    dtype = check("importance_loss_backward", dloss=(dloss, w.shape[:1]), w=(w, w.shape), out=(out, (w.size,)))
    expression = f"importance_loss_backward<{C_NAMES[dtype]}>"
    per_element(_FILE, expression, w.size, (dloss, w, out, *map(int32, w.shape)))
    return out


def importance_backward(dz, dkl, w, z, eps, std, dmu, dlogvar, path=False):
    """What meets at μ and log σ² of each draw.   dz, z, eps, std (N, L) · dkl (N,) · w (N,) or None → dmu, dlogvar (N, L)"""
    shape, row = dz.shape, dz.shape[:1]
    dtype = check(
        "importance_backward", dz=(dz, shape), dkl=(dkl, row), w=(w, row), z=(z, shape), eps=(eps, shape), std=(std, shape)
    )
    stride = row_stride("importance_backward", shape, dtype, dmu=dmu, dlogvar=dlogvar)
    arguments = dz, dkl, w, z, eps, std, dmu, dlogvar, int32(stride), *map(int32, shape), np.int32(bool(path))
    per_element(_FILE, f"importance_backward<{C_NAMES[dtype]}>", dz.size, arguments)


def _copies(few, many):
    return int32(len(few)), int32(len(many) // max(1, len(few)))
