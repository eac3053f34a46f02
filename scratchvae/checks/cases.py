"""Everything of ours that has a derivative, as modules that gradcheck can take."""

import numpy as np

from .. import nn, rng
from ..models import VAE, Autoencoder, ConvVAE, Weighted
from ..models.likelihood import Bernoulli, Gaussian
from ..models.posterior import Posterior
from .gradcheck import gradcheck

LATENT, PIXELS, ROWS = 3, 6, 3
ROW, IMAGE = (PIXELS,), (5, 4, 2)


class SquaredError(nn.Module):
    """squared_error (E21, E22), which no model of ours has for its likelihood.   y, x (B, D) → (B,)"""

    input_gradient = True, False  # x is data

    def forward(self, y, x):
        self.y, self.x = y, x
        return self.ops.squared_error(y, x, self.new("error", (len(y),), y.dtype), self.work(y.shape, y.dtype))

    def backward(self, derror):
        return self.ops.squared_error_backward(derror, self.y, self.x, self.new("dy", self.y.shape, derror.dtype)), None


def cases(seed=0):
    """(name, module, its inputs, whether it trains, or None for both) of each.

    Sizes are small: a formula is as wrong at 3 units as at 400.
    """
    draw = lambda step, *shape: rng.normal(
        seed, rng.CHECK, 8 + step, 0, int(np.prod((ROWS, *shape))), np.float64
    ).reshape(ROWS, *shape)
    images = rng.uniform(seed, rng.CHECK, 5, np.arange(ROWS), PIXELS, np.float64)
    row, image = draw(0, *ROW), draw(1, *IMAGE)
    for name, activation in nn.ACTIVATIONS.items():
        yield name, activation(), [row], False
    yield "dense", nn.Dense(PIXELS, LATENT), [row], False
    yield "sequential", nn.Sequential(nn.Dense(PIXELS, 4), nn.Tanh(), nn.Dense(4, LATENT)), [row], False
    yield "convolution", nn.Conv2D(2, 3, 3, 2, 1), [image], False
    yield "transposed convolution", nn.ConvTranspose2D(2, 3, 3, 2, 1, 1), [image], False
    yield "max pool", nn.MaxPool(2), [image], False
    yield "average pool", nn.AveragePool(2), [image], False
    yield "upsample, nearest", nn.Upsample(2), [image], False
    yield "upsample, bilinear", nn.Upsample(2, "bilinear"), [image], False
    yield "layer norm", nn.LayerNorm(PIXELS), [row], False
    yield "group norm", nn.GroupNorm(2, 4), [draw(2, 3, 2, 4)], False
    yield "batch norm", nn.BatchNorm(2), [image], None
    yield "dropout", nn.Dropout(0.3), [image], None
    yield "embedding", nn.Embedding(4, 3), [np.array([[1, 1], [0, 3], [1, 0]])], False
    yield "residual", nn.Residual(nn.Dense(PIXELS, PIXELS), nn.Tanh()), [row], False
    yield "skip", nn.Skip(nn.Conv2D(2, 3, 3, pad=1), nn.Tanh()), [image], False
    yield "concat", nn.Concat(), [row, draw(3, 2)], False
    yield "reshape, flatten", nn.Sequential(nn.Reshape(4, 10), nn.Flatten()), [image], False
    yield "bernoulli", Bernoulli(), [row, images], False
    yield "gaussian, learned sigma", Gaussian(), [row, images], False
    yield "gaussian, fixed sigma", Gaussian(0.3), [row, images], False
    yield "squared error", SquaredError(), [row, images], False
    yield "posterior", Posterior(), [draw(4, 2 * LATENT), draw(5, LATENT)], False
    yield "objective", Weighted(reconstruction=1.0, kl=0.7), [draw(6), draw(7)], False
    eps = draw(5, LATENT)
    sizes = {"data_size": PIXELS, "hidden": (5, 4), "latent": LATENT, "seed": seed}
    sizes["activation"] = "silu"  # of so few ReLUs, all may be dead
    for likelihood in ("bernoulli", "gaussian"):
        yield f"vae, {likelihood}", VAE(**sizes, likelihood=likelihood, beta=0.7), [images, eps], False
        yield f"autoencoder, {likelihood}", Autoencoder(**sizes, likelihood=likelihood), [images], False
    yield "convolutional vae", ConvVAE((3, 2), (2,), 2, 1, LATENT, seed=seed), [images, eps], False


def check_all(seed=0, method="complex"):
    """gradcheck of every case → {name: Report}, in order"""
    return {
        name: gradcheck(module, *inputs, seed=seed, method=method, name=name, training=training)
        for name, module, inputs, training in cases(seed)
    }
