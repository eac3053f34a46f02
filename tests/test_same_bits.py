"""What a change of structure must not change: every bit that training with today's defaults leaves behind.

The arithmetic is written out here once more, with NumPy alone and in the order in which it has always been done. So it holds on any
processor, where a checksum would hold on one.
"""

import hashlib

import numpy as np
import pytest

from scratchvae import VAE, rng
from scratchvae.data import Dataset, Split
from scratchvae.training import fit

PIXELS, HIDDEN, LATENT, BATCH, SHARDS, EPOCHS, IMAGES, SEED = 12, 8, 3, 16, 2, 2, 40, 7


def images():
    return np.round(255 * rng.uniform(3, rng.CHECK, 0, np.arange(IMAGES), PIXELS)).astype(np.uint8)


def trained(beta=1.0):
    model = VAE(PIXELS, (HIDDEN,), LATENT, seed=SEED, beta=beta)
    first = model.buffer.values.copy()
    data = Dataset("tiny", (3, 4), Split(images(), None), Split(images()[:4], None), "made here")
    fit(model, data, epochs=EPOCHS, batch_size=BATCH, seed=SEED, shards=SHARDS, progress=False, threads=1)
    return first, model.buffer.values


def written_out(p, beta):
    """The same training with nothing of ours but the noise.   p: the first values (N,), overwritten → the last ones"""
    shapes = [(PIXELS, HIDDEN), HIDDEN, (HIDDEN, 2 * LATENT), 2 * LATENT, (LATENT, HIDDEN), HIDDEN, (HIDDEN, PIXELS), PIXELS]
    at = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    view = lambda flat: [flat[i:j].reshape(shape) for i, j, shape in zip(at, at[1:], shapes, strict=False)]
    m, v, step, pixels, one = np.zeros_like(p), np.zeros_like(p), 0, images(), np.float32(1)
    for epoch in range(EPOCHS):
        order = rng.permutation(SEED, epoch, IMAGES)
        for start in range(0, IMAGES, BATCH):
            rows = order[start : start + BATCH]
            shards = []
            for i in range(SHARDS):
                a, b = len(rows) * i // SHARDS, len(rows) * (i + 1) // SHARDS
                x = pixels[rows[a:b]] / np.float32(255)
                eps = rng.normal(SEED, rng.LATENT, step, np.arange(a, b), LATENT)
                shards.append(gradient(view(p), x, eps, one / len(rows), beta))
            g = shards[0] + shards[1]
            step += 1
            m = m * np.float32(0.9) + g
            v = v * np.float32(0.999) + g * g
            by_m, by_v = (1 - 0.9) / (1 - 0.9**step), np.sqrt((1 - 0.999) / (1 - 0.999**step))
            p -= m / (np.sqrt(v) + np.float32(1e-8 / by_v)) * np.float32(1e-3 * by_m / by_v)
    return p


def gradient(parameters, x, eps, scale, beta):
    """Of scale · Σ (reconstruction + β KL), all parameters in one array."""
    half = np.float32(0.5)
    W0, b0, W1, b1, W2, b2, W3, b3 = parameters
    h = np.maximum(x @ W0 + b0, 0)
    code = h @ W1 + b1
    mu, logvar = code[:, :LATENT], code[:, LATENT:]
    std = np.exp(logvar * half)
    z = std * eps + mu
    k = np.maximum(z @ W2 + b2, 0)
    da = ((np.tanh((k @ W3 + b3) * half) + 1) * half - x) * scale
    dk = (da @ W3.T) * (k > 0)
    dz = dk @ W2.T
    from_kl = np.hstack([mu * (scale * beta), np.expm1(logvar) * (half * (scale * beta))])
    dcode = np.hstack([dz, dz * eps * std * half]) + from_kl
    dh = (dcode @ W1.T) * (h > 0)
    parts = x.T @ dh, dh.sum(0), h.T @ dcode, dcode.sum(0), z.T @ dk, dk.sum(0), k.T @ da, da.sum(0)
    return np.concatenate([part.reshape(-1) for part in parts])


@pytest.mark.parametrize("beta", [1.0, 0.25])
def test_training_leaves_the_bits_that_it_has_always_left(beta):
    first, last = trained(beta)
    expected = written_out(first.copy(), np.float32(beta))
    assert np.abs(expected - first).max() > 1e-3
    assert hashlib.sha256(last).hexdigest() == hashlib.sha256(expected).hexdigest()
