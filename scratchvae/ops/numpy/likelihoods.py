"""What a decoder's output says about an image: negative log-likelihoods in nats, summed over the pixels of each image."""

import numpy as np

from .activations import sigmoid
from .real_part import magnitude, positive_part

LOG_2PI = float(np.log(2 * np.pi))


def bernoulli_nll(logits, x, out, work):
    """−log p(x) = Σ_pixels softplus(a) − x a (E17).   logits a, x (B, D) → out (B,), nats per image

    softplus(a) = max(a, 0) + log(1 + e^−|a|) never leaves the finite numbers, where log(sigmoid(a)) would. With grayscale x
    in [0, 1] this is the cross-entropy −x log p − (1 − x) log(1 − p), not a density of x. work is two scratch arrays (B, D),
    or of fewer rows: then so many are taken at a time, and stay in the cache for all these passes.
    """
    rows = len(work[0])
    if rows < len(x):
        for i in range(0, len(x), rows):
            part = slice(i, min(i + rows, len(x)))
            bernoulli_nll(logits[part], x[part], out[part], [array[: part.stop - i] for array in work])
        return out
    total, term = work
    magnitude(logits, total)
    np.negative(total, out=total)
    np.exp(total, out=total)
    total += 1  # log(1 + t) is within one rounding of a sum of this size, and twice as fast as log1p
    np.log(total, out=total)
    positive_part(logits, term)
    total += term
    np.multiply(x, logits, out=term)
    total -= term
    return np.sum(total, axis=1, out=out)


def bernoulli_nll_backward(dnll, logits, x, out):
    """da = dnll · (sigmoid(a) − x) (E18).   dnll (B,), a number for each row · logits a, x (B, D) → out (B, D)"""
    sigmoid(logits, out)
    out -= x
    out *= dnll[:, None]
    return out


def gaussian_nll(mean, logvar, x, out, work):
    """−log p(x) = ½ Σ_pixels (x − m)² / σ² + logvar + log 2π (E19).   mean m, x (B, D) · logvar broadcasts to it → out (B,)

    (x − m) / σ is squared, not (x − m)² divided: 1/σ² overflows at twice the σ that 1/σ does, and 0 · ∞ is no number.
    """
    np.subtract(x, mean, out=work)
    work *= np.exp(-0.5 * logvar)
    work *= work
    work += logvar
    work += LOG_2PI
    np.sum(work, axis=1, out=out)
    out *= 0.5
    return out


def gaussian_nll_backward(dnll, mean, logvar, x, dmean, dlogvar):
    """dm = dnll · (m − x) / σ²,  dlogvar = dnll · ½ (1 − (x − m)² / σ²) (E20).   dnll (B,) → writes dmean, dlogvar (B, D)

    A logvar shared by several pixels gets the sum of dlogvar over them.
    """
    inverse = np.exp(-0.5 * logvar)  # 1/σ
    np.subtract(mean, x, out=dmean)
    dmean *= inverse
    np.multiply(dmean, dmean, out=dlogvar)
    np.subtract(1, dlogvar, out=dlogvar)
    dlogvar *= 0.5 * dnll[:, None]
    dmean *= inverse
    dmean *= dnll[:, None]


def squared_error(y, x, out, work):
    """Σ_pixels (y − x)² (E21).   y, x (B, D) → out (B,)"""
    np.subtract(y, x, out=work)
    work *= work
    return np.sum(work, axis=1, out=out)


def squared_error_backward(derror, y, x, out):
    """dy = derror · 2 (y − x) (E22).   derror (B,) · y, x (B, D) → out (B, D)"""
    np.subtract(y, x, out=out)
    out *= 2 * derror[:, None]
    return out


def sum_all(x, out):
    """out = Σ x: the gradient of one number that all of x share.   x of any shape → out (1,)"""
    out[0] = x.sum()
    return out
