"""Pixels of some hundred levels: a logistic distribution, of which each level has what is rounded to it (Salimans et
al., 2017).

Levels stand at multiples of h = 1 / (levels − 1) from 0 to 1, and P(x) = σ(u) − σ(v) with u, v = (x ± h/2 − m) / s; the
lowest level has all that is below it as well, the highest all that is above. Far from m the digits of that difference
cancel, but

    σ(u) − σ(v) = σ(u) σ(−v) (1 − e^−δ),   δ = u − v = h / s

and the logarithm of each factor is exact for every u, v and s: no case needs an approximation. `work` is five scratch
arrays (B, D), or of fewer rows: then so many are taken at a time.
"""

import numpy as np

from .activations import sigmoid, softplus

TINY = 1e-30  # a δ below it is as good as none in (1 − e^−δ) / δ, which tends to 1


def logistic_nll(mean, logscale, x, out, work, levels=256):
    """−log P(x) = Σ_pixels log(1 + e^−u) + log(1 + eᵛ) − log(1 − e^−δ) (E89).

    mean m, logscale log s, x (B, D) → out (B,), nats. Of the lowest level only the first of these is left, of the
    highest only the second. x is taken for the nearest level. The third is log s − log h − log((1 − e^−δ) / δ), which
    is finite for any s.
    """
    for part, (delta, u, v, total, spare) in _parts(x, work):
        lowest, highest = _logits(mean[part], logscale[part], x[part], levels, delta, u, v)
        np.copyto(delta, TINY, where=delta.real < TINY)
        np.expm1(np.negative(delta, out=spare), out=spare)
        spare /= np.negative(delta, out=delta)
        np.subtract(logscale[part], np.log(spare, out=spare), out=total)
        total += np.log(levels - 1)
        np.copyto(total, 0, where=lowest | highest)
        for logit, gone in ((np.negative(u, out=u), highest), (v, lowest)):
            softplus(logit, spare, delta)
            np.copyto(spare, 0, where=gone)
            total += spare
        np.sum(total, axis=1, out=out[part])
    return out


def logistic_nll_backward(dnll, mean, logscale, x, dmean, dlogscale, work, levels=256):
    """dm = dnll · (σ(−u) − σ(v)) / s,  dlogscale = dnll · (u σ(−u) − v σ(v) + δ / (e^δ − 1)) (E90).

    dnll (B,) → writes dmean, dlogscale (B, D). Where logistic_nll has one term, so have these.
    """
    for part, (delta, u, v, term, spare) in _parts(x, work):
        lowest, highest = _logits(mean[part], logscale[part], x[part], levels, delta, u, v)
        dm, ds, far = dmean[part], dlogscale[part], delta.real < TINY
        np.exp(np.negative(delta, out=spare), out=ds)
        ds *= delta
        np.copyto(spare, -1, where=far)
        ds /= np.negative(np.expm1(spare, out=spare), out=spare)  # δ e^−δ / (1 − e^−δ): e^δ could overflow
        np.copyto(ds, 1, where=far)
        np.copyto(ds, 0, where=lowest | highest)
        sigmoid(np.negative(u, out=spare), dm)
        np.copyto(dm, 0, where=highest)
        ds += np.multiply(u, dm, out=spare)
        sigmoid(v, term)
        np.copyto(term, 0, where=lowest)
        dm -= term
        ds -= np.multiply(v, term, out=spare)
        dm *= np.exp(np.negative(logscale[part], out=spare), out=spare)
        dm *= dnll[part, None]
        ds *= dnll[part, None]


def _parts(x, work):
    """(rows, the work for them), as many rows at a time as work has."""
    for i in range(0, len(x), len(work[0])):
        n = min(len(work[0]), len(x) - i)
        yield slice(i, i + n), [array[:n] for array in work]


def _logits(mean, logscale, x, levels, delta, u, v):
    """Write δ, u and v → which pixels are of the lowest level, which of the highest"""
    h = 1 / (levels - 1)
    scale = np.exp(np.negative(logscale, out=delta), out=delta)  # 1 / s
    np.subtract(x, mean, out=v)
    np.add(v, h / 2, out=u)
    u *= scale
    v -= h / 2
    v *= scale
    delta *= h
    return x.real < h / 2, x.real > 1 - h / 2
