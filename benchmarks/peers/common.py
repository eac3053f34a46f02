"""What every peer shares: the sizes, the starting weights and the order of the images."""

import itertools

import numpy as np

PIXELS = 784
EVALUATED = 10_000  # images in one evaluation
LEARNING_RATE, BETA1, BETA2, ADAM_EPSILON = 1e-3, 0.9, 0.999, 1e-8
BATCHES = 200  # index arrays drawn beforehand and used in turn
READ_EVERY = 50  # steps between two readings of the loss


def layer_sizes(hidden, latent):
    """(inputs, outputs) of the four dense layers: encoder, merged mu/logvar head, decoder, output."""
    return [(PIXELS, hidden), (hidden, 2 * latent), (latent, hidden), (hidden, PIXELS)]


def initial_weights(hidden, latent, seed=0):
    """[(W (I, O), b (O,)), ...] in float32, the same for every peer, so that their losses can be compared."""
    rng = np.random.default_rng(seed)
    weights = []
    for inputs, outputs in layer_sizes(hidden, latent):
        bound = np.sqrt(3 / inputs)  # variance 1 / inputs
        W = rng.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)
        weights.append((W, np.zeros(outputs, np.float32)))
    return weights


def batches(n_images, batch_size, seed=1, count=BATCHES):
    """An endless supply of index arrays (batch_size,), drawn beforehand: consecutive pieces of repeated shuffles."""
    rng = np.random.default_rng(seed)
    shuffles = -(-count * batch_size // n_images)
    order = np.concatenate([rng.permutation(n_images) for _ in range(shuffles)])[: count * batch_size]
    return itertools.cycle(order.reshape(count, batch_size))


def pieces(n, size):
    """(start, stop) of consecutive pieces of at most `size`, the last one short."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def evaluation_rows(n_images):
    """The rows of one evaluation: all images in order, repeated as far as EVALUATED goes."""
    return np.arange(EVALUATED) % n_images
