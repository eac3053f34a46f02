"""The networks of the race of convolutions, and their starting weights: a convolutional VAE and a U-Net on images of 28 × 28.

Kernels are (kh, kw, channels of the larger image, channels of the smaller), dense layers (inputs, outputs); every bias is 0.
"""

import numpy as np

SIDE, LATENT = 28, 20
NETS = {
    "conv-vae": "convolutional VAE, 32 and 64 filters 4 × 4 of stride 2, latent 20, Bernoulli likelihood",
    "unet-16": "U-Net of three levels, base 16, two 3 × 3 convolutions each, squared error to the image",
    "unet-32": "the same, base 32",
}


def shapes(net):
    """The shapes of a network's weights, in the order in which an image meets them."""
    if net == "conv-vae":
        return [(4, 4, 1, 32), (4, 4, 32, 64), (3136, 2 * LATENT), (LATENT, 3136), (4, 4, 32, 64), (4, 4, 1, 32)]
    c = int(net.partition("-")[2])
    two = lambda i, o: [(3, 3, i, o), (3, 3, o, o)]
    down = [*two(1, c), *two(c, 2 * c), *two(2 * c, 4 * c)]
    return [*down, (2, 2, 2 * c, 4 * c), *two(4 * c, 2 * c), (2, 2, c, 2 * c), *two(2 * c, c), (1, 1, c, 1)]


def weights(net, seed=0):
    """float32 arrays of these shapes, of variance 1 / (what meets in one output), the same for every peer."""
    rng, made = np.random.default_rng(seed), []
    for shape in shapes(net):
        made.append((rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32))
    return made


def outputs(net):
    """How many numbers each weight's bias has."""
    last = {"conv-vae": (4, 5)}.get(net, (6, 9))  # transposed convolutions: their output is the larger image
    return [shape[2] if i in last else shape[-1] for i, shape in enumerate(shapes(net))]
