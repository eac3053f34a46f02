"""Normalisation: x minus its mean, over its standard deviation, then scaled and shifted by learned numbers.

One pair serves all kinds. x is (R, P, G, D): R rows of P pixels, with channels in G groups of D; a mean is taken over the pixels and
channels of one group of one row. So a view makes the kind:

    group norm   (B, H W, G, C / G)    (Wu & He, 2018)
    layer norm   (B, H W, 1, C)        (Ba et al., 2016; over each pixel's channels alone: (B H W, 1, 1, C))
    batch norm   (1, B H W, C, 1)      (Ioffe & Szegedy, 2015): all images are one row, and each channel is a group
"""

import numpy as np

EPSILON = 1e-5


def normalise(x, scale, shift, out, xhat, mean, rstd, eps=EPSILON):
    """y = scale · x̂ + shift,  x̂ = (x − mean) · rstd,  rstd = 1/√(variance + ε) (E71).

    x (R, P, G, D) · scale, shift (G, D) → writes mean, rstd (R, G), xhat and out as x. The variance is the mean of (x − mean)²,
    not E x² − mean², which loses its digits where the mean is large.
    """
    n = x.shape[1] * x.shape[3]
    np.sum(x, axis=(1, 3), out=mean)
    mean /= n
    np.subtract(x, mean[:, None, :, None], out=xhat)
    np.multiply(xhat, xhat, out=out)
    np.sum(out, axis=(1, 3), out=rstd)
    rstd /= n
    rstd += eps
    np.sqrt(rstd, out=rstd)
    np.divide(1, rstd, out=rstd)
    xhat *= rstd[:, None, :, None]
    np.multiply(xhat, scale, out=out)
    out += shift
    return out


def normalise_backward(dY, xhat, rstd, scale, dX, dscale, dshift, work):
    """dx = rstd · (dx̂ − mean(dx̂) − x̂ · mean(dx̂ x̂)),  dx̂ = dY · scale;  dscale = Σ dY x̂,  dshift = Σ dY (E72).

    The means are those of forward. Writes dX as dY (R, P, G, D), dscale, dshift (G, D). work is scratch as dY.
    """
    n = dY.shape[1] * dY.shape[3]
    np.multiply(dY, xhat, out=work)
    np.sum(work, axis=(0, 1), out=dscale)
    np.sum(dY, axis=(0, 1), out=dshift)
    work *= scale
    along = np.sum(work, axis=(1, 3), keepdims=True)  # (R, 1, G, 1), as the next
    np.multiply(dY, scale, out=dX)
    level = np.sum(dX, axis=(1, 3), keepdims=True)
    np.multiply(xhat, along / n, out=work)
    dX -= work
    dX -= level / n
    dX *= rstd[:, None, :, None]
    return dX


def standardise(x, mean, rstd, scale, shift, out, xhat):
    """y = scale · x̂ + shift,  x̂ = (x − mean) · rstd, with a mean and rstd that were found before (E71): batch norm in use.

    x (R, P, G, D) · mean, rstd, scale, shift (G, D) → writes xhat and out as x
    """
    np.subtract(x, mean, out=xhat)
    xhat *= rstd
    np.multiply(xhat, scale, out=out)
    out += shift
    return out


def standardise_backward(dY, xhat, rstd, scale, dX, dscale, dshift):
    """dx = dY · scale · rstd,  dscale = Σ dY x̂,  dshift = Σ dY (E72): mean and rstd are constants.   As normalise_backward"""
    np.multiply(dY, xhat, out=dX)
    np.sum(dX, axis=(0, 1), out=dscale)
    np.sum(dY, axis=(0, 1), out=dshift)
    np.multiply(dY, scale * rstd, out=dX)
    return dX


def follow(mean, rstd, running_mean, running_variance, pull, dmean, dvariance, eps=EPSILON):
    """dr = pull · (r − that of the batch), what running statistics fall by.   all (C,) → writes dmean, dvariance

    mean, rstd  of the batch, as normalise found them
    """
    dmean[...] = pull * (running_mean - mean)
    dvariance[...] = pull * (running_variance - (1 / rstd**2 - eps))
