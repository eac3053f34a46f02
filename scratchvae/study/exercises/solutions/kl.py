"""The divergence of the posterior from the prior, in closed form, and its gradient (equations E15 and E16).

logvar is the logarithm of the variance. Shapes: B images, L latents. In nats, summed over the latents: one number for each image.
The gradient of a loss takes one number for each image and multiplies the image's row by it. In training, where the loss is the mean
over B images, each of these numbers is 1/B.
"""

import numpy as np


def gaussian_kl(mu, logvar):
    """KL(N(mu, exp(logvar)) ‖ N(0, I)) of each image (E15).   mu, logvar (B, L) → kl (B,)"""
    return 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar, axis=1)


def gaussian_kl_backward(dkl, mu, logvar):
    """The gradients of the sum of dkl · kl over the batch (E16).   dkl (B,) · mu, logvar (B, L) → dmu, dlogvar (B, L)"""
    return dkl[:, None] * mu, dkl[:, None] * 0.5 * (np.exp(logvar) - 1)
