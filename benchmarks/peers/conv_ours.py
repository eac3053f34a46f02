"""scratchvae's convolutional networks, made of its layers and trained by its training step, one shard per thread."""

import numpy as np

from scratchvae import __version__
from scratchvae.models.likelihood import Bernoulli
from scratchvae.models.model import Model
from scratchvae.models.posterior import Posterior
from scratchvae.nn import Conv2D, ConvTranspose2D, Dense, Flatten, MaxPool, ReLU, Reshape, Sequential, Skip
from scratchvae.training import Optimiser, TrainingStep

from . import common, conv_common
from .ours import Ours


class ConvVAE(Model):
    """784 pixels as an image → two convolutions of stride 2 → μ, log σ² → z → two transposed convolutions → logits"""

    terms, noise_columns = ("reconstruction", "kl"), conv_common.LATENT

    def __init__(self):
        self.config = {"data_size": 784}
        down = Conv2D(1, 32, 4, 2, 1, input_gradient=False), ReLU(), Conv2D(32, 64, 4, 2, 1), ReLU()
        self.encoder = Sequential(Reshape(28, 28, 1), *down, Flatten(), Dense(3136, 40))
        up = ConvTranspose2D(64, 32, 4, 2, 1), ReLU(), ConvTranspose2D(32, 1, 4, 2, 1)
        self.decoder = Sequential(Dense(20, 3136), ReLU(), Reshape(7, 7, 64), *up, Flatten())
        self.posterior, self.likelihood = Posterior(), Bernoulli()
        self.initialise(0)

    def forward(self, x, eps):
        z, kl = self.posterior.forward(self.encoder.forward(x), eps)
        return self.likelihood.forward(self.decoder.forward(z), x), kl

    def backward(self, dreconstruction, dkl):
        dz = self.decoder.backward(self.likelihood.backward(dreconstruction)[0])
        self.encoder.backward(self.posterior.backward(dz, dkl)[0])


def two(inputs, outputs, **options):
    """Two convolutions of 3 × 3, each with a ReLU."""
    return Conv2D(inputs, outputs, 3, pad=1, **options), ReLU(), Conv2D(outputs, outputs, 3, pad=1), ReLU()


class UNet(Model):
    """Three levels, each with what it was beside what comes from below; squared error to the image itself"""

    terms = ("error",)

    def __init__(self, c):
        self.config = {"data_size": 784}
        low = Skip(MaxPool(), *two(2 * c, 4 * c), ConvTranspose2D(4 * c, 2 * c, 2, 2))
        middle = Skip(MaxPool(), *two(c, 2 * c), low, *two(4 * c, 2 * c), ConvTranspose2D(2 * c, c, 2, 2))
        top = two(1, c, input_gradient=False)
        self.net = Sequential(Reshape(28, 28, 1), *top, middle, *two(2 * c, c), Conv2D(c, 1, 1), Flatten())
        self.initialise(0)

    def forward(self, x):
        self.x, self.y = x, self.net.forward(x)
        return (self.ops.squared_error(self.y, x, self.new("error", (len(x),), x.dtype), self.work(x.shape, x.dtype)),)

    def backward(self, derror):
        self.net.backward(self.ops.squared_error_backward(derror, self.y, self.x, self.new("dy", self.y.shape, self.y.dtype)))


class ConvOurs(Ours):
    def __init__(self):
        self.versions = {"scratchvae": __version__, "numpy": np.__version__}

    def setup(self, images, batch_size, net, threads):
        self.batch_size, self.rows = batch_size, common.batches(len(images), batch_size)
        self.model = ConvVAE() if net == "conv-vae" else UNet(int(net.partition("-")[2]))
        buffer = self.model.buffer
        buffer.values[:] = 0
        for name, array in zip([n for n in buffer.names if n.endswith("W")], conv_common.weights(net), strict=True):
            buffer.view(name)[...] = array
        optimiser = Optimiser("adam", beta1=common.BETA1, beta2=common.BETA2, eps=common.ADAM_EPSILON)
        optimiser.start(buffer.values)
        self.updates, self.training = 0, False
        self.do = TrainingStep(self.model, optimiser, images, batch_size, threads=threads, shards=threads)

    def step(self, rows):
        self.updates += 1
        return sum(self.do(rows, self.updates - 1, common.LEARNING_RATE).values())
