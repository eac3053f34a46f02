"""What training does between the formulas: noise, order, averages, updates; against a loop written as a textbook would."""

import numpy as np

from .... import rng
from . import small
from .verdict import near

N, BATCH, EPOCHS, LR = 20, 8, 3, 1e-2  # 8 + 8 + 4 images an epoch: the last batch is short


def bookkeeping(copy):
    """Fresh noise for each image and step; a first Adam step of size η; weights and loss as the plain loop has them."""
    images = small.images(N)
    data = small.dataset(copy, images, small.images(N, seed=1))
    yield from _noise(copy, images)

    model = small.vae(copy)
    before = model.buffer.values.copy()
    small.train(copy, model, data, batch_size=BATCH, lr=LR, max_steps=1)
    size = float(np.abs(model.buffer.values - before).max() / LR)
    yield (
        abs(size - 1) < 1e-3,
        size,
        f"Adam's first step should move a weight by the learning rate, and moves it by {size:.3f} of it",
    )

    model, plain = small.vae(copy), small.vae(copy)
    records = small.train(copy, model, data, batch_size=BATCH, lr=LR, epochs=EPOCHS)
    losses = textbook(plain, images)
    reported = [record["loss"] for record in records if record["split"] == "train"]
    holds, worst = near(reported[0], losses[0], 1e-9)
    yield holds, worst, f"the first epoch's mean loss is {losses[0]:.4f} nats per image, and {reported[0]:.6g} is reported"
    holds, worst = near(model.buffer.values, plain.buffer.values, 1e-9)
    yield holds, worst, f"after {EPOCHS} epochs the weights are {worst:.1e} off those of a plain loop over the training images"


def _noise(copy, images):
    training = copy["training"]
    model, optimiser = small.vae(copy), training.Optimiser()
    optimiser.start(model.buffer.values)
    do = training.TrainingStep(model, optimiser, images, BATCH, threads=1, shards=2)
    half = BATCH // 2
    steps = [np.concatenate(do.noise(0, step, 0, half) + do.noise(1, step, half, BATCH)) for step in (0, 1, 40)]
    same = BATCH - len(np.unique(steps[0].round(12), axis=0))
    yield same == 0, same, f"{same} of a batch's {BATCH} images get the ε of another"
    same = sum(np.array_equal(steps[0], later) for later in steps[1:])
    yield same == 0, same, f"{same} of 2 later steps draw the ε of the first one again"


def textbook(model, images):
    """Adam (E29) in its published form on the mean loss of each batch, in the order and with the ε that our rules name.

    Forward and backward are the copy's: they have layers of their own.   → mean loss per image of each epoch
    """
    values, m, v, step, losses = model.buffer.values, 0.0, 0.0, 0, []
    for epoch in range(EPOCHS):
        total = 0.0
        order = rng.permutation(0, epoch, len(images))
        for rows in (order[i : i + BATCH] for i in range(0, len(images), BATCH)):
            eps = rng.normal(0, rng.LATENT, step, np.arange(len(rows)), model.latent, np.float64)
            total += sum(float(term.sum()) for term in model.forward(images[rows] / 255, eps))
            model.descend(np.full(len(rows), 1 / len(rows)))
            g, step = model.buffer.grads, step + 1
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            values -= LR * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        losses.append(total / len(images))
    return losses
