"""The bound of several draws, and how much of its gradient each draw gets (equations E48 and E93).

For each of B images there are K draws of z, and nll (B, K) holds −log w of each: its reconstruction and its sampled KL
added up, in nats. The loss of an image is minus the logarithm of the mean weight.
"""

import numpy as np


def importance_loss(nll):
    """−log of the mean over K of e to the −nll, for any nll, with no overflow on the way.   nll (B, K) → loss (B,)"""
    least = np.min(nll, axis=1, keepdims=True)
    return least[:, 0] - np.log(np.mean(np.exp(least - nll), axis=1))


def importance_loss_backward(dloss, nll):
    """The gradient of the sum of dloss · loss over the images.   dloss (B,) · nll (B, K) → dnll (B, K)"""
    w = np.exp(np.min(nll, axis=1, keepdims=True) - nll)
    return dloss[:, None] * w / np.sum(w, axis=1, keepdims=True)
