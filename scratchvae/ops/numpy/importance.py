"""Several draws of z for each image, weighted by importance (Burda, Grosse & Salakhutdinov, 2015).

The K rows of an image stand together: (B K, …). w_k = p(x, z_k) / q(z_k|x), and log q − log p of a draw is where its KL
comes from.
"""

import numpy as np


def repeat_rows(x, out):
    """Each row of x K times, one after the other.   x (B, …) → out (B K, …)"""
    out.reshape(len(x), -1, *x.shape[1:])[...] = x[:, None]
    return out


def repeat_rows_backward(dY, out):
    """The gradients of a row's copies add up.   dY (B K, …) → out (B, …)"""
    return np.sum(dY.reshape(len(out), -1, *out.shape[1:]), axis=1, out=out)


def sampled_kl(z, eps, logvar, out, work):
    """log q(z|x) − log p(z) = ½ Σ_latents z² − ε² − log σ² (E92), of mean KL(q ‖ p).   (N, L) → out (N,). Needs work."""
    np.multiply(z, z, out=work)
    work -= eps * eps
    work -= logvar
    np.sum(work, axis=1, out=out)
    out *= 0.5
    return out


def importance_loss(nll, kl, out, w):
    """−log (1/K) Σ_k w_k,  w_k = e^(−nll_k − kl_k), the largest taken out so that nothing overflows (E93).

    nll, kl (B K,), nats → out (B,), and w / Σ w in w (B, K)
    """
    np.add(nll, kl, out=w.reshape(-1))
    least = w[np.arange(len(w)), w.real.argmin(axis=1), None]
    np.subtract(least, w, out=w)
    np.exp(w, out=w)
    total = w.sum(axis=1, keepdims=True)
    np.subtract(least[:, 0], np.log(total[:, 0] / w.shape[1]), out=out)
    w /= total
    return out


def importance_loss_backward(dloss, w, out):
    """dnll_k = dkl_k = dloss · w_k / Σ w (E93).   dloss (B,) · w (B, K), of importance_loss → out (B K,)"""
    np.multiply(dloss[:, None], w, out=out.reshape(w.shape))
    return out


def importance_backward(dz, dkl, w, z, eps, std, dmu, dlogvar, path=False):
    """What meets at μ and log σ² of each draw (E94): dz through z, and dkl times the derivatives of sampled_kl; all
    times w, if given.

    dz, z, eps, std (N, L) · dkl (N,) · w (N,) or None → writes dmu, dlogvar (N, L). With `path` the parameters of q
    count through z alone, as if log q had them from elsewhere: z − ε / σ in place of z, and nothing beside (Roeder, Wu
    & Duvenaud, 2017).
    """
    np.multiply(z - eps / std if path else z, dkl[:, None], out=dmu)
    dmu += dz
    np.multiply(dmu, eps, out=dlogvar)
    dlogvar *= std
    if not path:
        dlogvar -= dkl[:, None]
    dlogvar *= 0.5
    if w is not None:
        dmu *= w[:, None]
        dlogvar *= w[:, None]
