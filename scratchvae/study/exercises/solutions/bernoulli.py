"""Softplus, and the Bernoulli likelihood of pixels, on logits (equations E10, E17 and E18).

A logit a is the log odds of a pixel being on: its probability is sigmoid(a). Shapes: B images of D pixels. Likelihoods are in
nats, summed over the pixels of an image: one number for each image. The gradient of a loss takes one number for each image and
multiplies the image's row by it. In training, where the loss is the mean over B images, each of these numbers is 1/B.
"""

import numpy as np


def softplus(a):
    """log(1 + e to the a) for any a, with no overflow on the way (E10).   a (B, D) → (B, D)"""
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


def bernoulli_nll(logits, x):
    """−log p(x) of each image (E17).   logits, x (B, D) → nll (B,)"""
    return np.sum(softplus(logits) - x * logits, axis=1)


def bernoulli_nll_backward(dnll, logits, x):
    """The gradient of the sum of dnll · nll over the batch (E18).   dnll (B,) · logits, x (B, D) → dlogits (B, D)"""
    return dnll[:, None] * (0.5 * (1 + np.tanh(0.5 * logits)) - x)
