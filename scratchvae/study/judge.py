"""A judge of invented images: a classifier trained on real ones, and how many kinds it finds among others."""

import numpy as np

from .. import nn, rng
from ..ops import numpy as ops


def train_judge(images, labels, seed=0, epochs=8):
    """A classifier of 128 hidden units, trained with Adam in batches of 100.   images (N, D) float32, labels (N,) → Sequential

    Its loss is −log p(label), whose derivative in the logits is p − 1 at the label and p elsewhere.
    """
    judge = nn.Sequential(nn.Dense(images.shape[1], 128), nn.ReLU(), nn.Dense(128, labels.max() + 1)).initialise(seed)
    values, grads = judge.buffer.values, judge.buffer.grads
    m, v, work = (np.zeros_like(values) for _ in range(3))
    step = 0
    for epoch in range(epochs):
        order = rng.permutation(seed, epoch, len(images))
        for rows in np.split(order, range(100, len(order), 100)):
            slopes = probabilities(judge, images[rows])
            slopes[np.arange(len(rows)), labels[rows]] -= 1
            judge.backward(slopes / len(rows))
            step += 1
            ops.adam(values, grads, m, v, work, lr=1e-3, step=step)
    return judge


def probabilities(judge, images):
    """What the judge takes each image for.   images (N, D) float32 → (N, kinds), rows that add up to 1"""
    logits = judge.forward(images)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def kinds(p):
    """exp(H(mean of p) − mean of H(p)), H(p) = −Σ p log p (E59; Salimans et al., 2016).   p (N, K) → a number from 1 to K"""
    return float(np.exp(_entropy(p.mean(axis=0)) - _entropy(p).mean()))


def _entropy(p):
    return -np.sum(p * np.log(np.maximum(p, 1e-30)), axis=-1)
