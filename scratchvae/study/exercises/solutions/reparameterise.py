"""The reparameterisation trick and its gradient (equations E13 and E14).

logvar is the logarithm of the variance. The noise eps is given, so that a draw of z is an ordinary function of mu and logvar,
with an ordinary derivative. Shapes: B images, L latents.
"""

import numpy as np


def reparameterise(mu, logvar, eps):
    """z with mean mu and variance exp(logvar), made from standard normal eps (E13).   mu, logvar, eps (B, L) → z (B, L)"""
    return mu + np.exp(0.5 * logvar) * eps


def reparameterise_backward(dz, logvar, eps):
    """The gradients that reach mu and logvar when dz reaches z (E14).   dz, logvar, eps (B, L) → dmu (B, L), dlogvar (B, L)"""
    return dz.copy(), 0.5 * dz * eps * np.exp(0.5 * logvar)
