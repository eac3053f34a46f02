"""What the peers on a GPU share. Each trains the same model on the same resident images from the same weights:

    Peer(images, hidden, latent, batch, tf32, variant)
    run(n)      enqueue n training steps: gather, forward, loss, gradient, Adam
    wait()      until they are done → the loss of the last in nats per image
    timed(n)    milliseconds of n steps, by events on the device (JAX has none: by the clock, up to the last result)
    on_gpu      whether it runs there: without a GPU each takes the CPU, for a dry run
"""

import numpy as np

BATCHES = 64  # index arrays drawn beforehand, resident, used in turn


def sizes(pixels, hidden, latent):
    """(inputs, outputs) of every dense layer, and which of them begins the decoder."""
    encoder, decoder = [pixels, *hidden, 2 * latent], [latent, *reversed(hidden), pixels]
    pairs = [*zip(encoder, encoder[1:], strict=False), *zip(decoder, decoder[1:], strict=False)]
    return pairs, len(encoder) - 1


def weights(pixels, hidden, latent, seed=0):
    """[(W (I, O), b (O,)), …] in float32: Glorot's uniform start, as ours."""
    draw = np.random.default_rng(seed)
    found = []
    for inputs, outputs in sizes(pixels, hidden, latent)[0]:
        limit = np.sqrt(6 / (inputs + outputs))
        found.append((draw.uniform(-limit, limit, (inputs, outputs)).astype(np.float32), np.zeros(outputs, np.float32)))
    return found


def orders(images, batch, seed=1):
    """(BATCHES, batch) int64: rows of the batches, consecutive pieces of shuffles."""
    draw = np.random.default_rng(seed)
    shuffles = -(-BATCHES * batch // images)
    return np.concatenate([draw.permutation(images) for _ in range(shuffles)])[: BATCHES * batch].reshape(BATCHES, batch)
