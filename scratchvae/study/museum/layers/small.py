"""Small things that several layers look at: images, models with known weights or of several paths, and their noise."""

import numpy as np

from .... import rng

PIXELS = 12
SIDE = 8  # of pictures


def images(n, seed=0, binary=False):
    """n images of 4 x 3 pixels in two kinds, bright on the left and bright on the right → (n, 12) uint8"""
    u = rng.uniform(seed, rng.CHECK, 300, np.arange(n), PIXELS + 1, np.float64)
    shape = np.where(u[:, :1] < 0.5, np.tile([1.0, 0.2, 0.0], 4), np.tile([0.0, 0.2, 1.0], 4))
    if binary:
        return np.where(u[:, 1:] < shape, 255, 0).astype(np.uint8)
    return (255 * shape * (0.6 + 0.4 * u[:, 1:])).astype(np.uint8)


def dataset(copy, train, test):
    """A Dataset of the copy's own from two arrays (N, 12)."""
    data = copy["data"]
    return data.Dataset("small", (4, 3), data.Split(train, None), data.Split(test, None), "made for a layer of proof")


def pictures(copy, n, seed=0):
    """A Dataset of n pictures of 8 x 8, a bright square of 4 x 4 on noise: its pixels and two of its corners are targets."""
    u = rng.uniform(seed, rng.CHECK, 301, np.arange(n), SIDE**2 + 2, np.float64)
    top, left = ((SIDE - 3) * u[:, k, None, None] // 1 for k in (0, 1))
    row, column = np.mgrid[:SIDE, :SIDE]
    square = (row >= top) & (row < top + 4) & (column >= left) & (column < left + 4)
    corners = np.concatenate([left, top, left + 3, top + 3], axis=1).reshape(n, 2, 2)
    images = (255 * (0.5 * square + 0.5 * u[:, 2:].reshape(square.shape))).astype(np.uint8).reshape(n, -1)
    fields = {"segments": square.astype(np.uint8), "points": corners, "visible": np.ones((n, 2), bool)}
    split = copy["data"].Split(images, None, **fields)
    return copy["data"].Dataset("small pictures", (SIDE, SIDE), split, split, "made for a layer of proof")


def unet(copy, **options):
    """A small U-Net of the copy, in float64, the same every time."""
    settings = {"base": 2, "levels": 1, "classes": 2, "seed": 3, "dtype": np.float64, **options}
    return copy["models.unet"].UNet((SIDE, SIDE), **settings)


def hourglass(copy, **options):
    """A small stack of two hourglasses of the copy, in float64, the same every time."""
    settings = {"joints": 2, "features": 2, "levels": 1, "seed": 3, "dtype": np.float64, **options}
    return copy["models.hourglass"].Hourglass((SIDE, SIDE), **settings)


def networks(copy, **options):
    """{name: (model, its inputs (4, …))} of those two of which a step runs what is changed in the copy. options: of the U-Net"""
    found, fields = {}, pictures(copy, 4).train.fields
    for name, model in (("U-Net", unet(copy, **options)), ("hourglass", hourglass(copy))):
        inputs = [fields["images"] / 255, *(fields[field] for field in model.reads[1:])]

        def step(model=model, inputs=inputs):
            model.train().forward(*inputs)
            model.descend(np.ones(4))
            model.train(False)

        if copy.runs(step):
            found[name] = model, inputs
    return found


def vae(copy, **options):
    """A small VAE of the copy, in float64 unless told otherwise, the same every time."""
    settings = {"data_size": PIXELS, "hidden": (8,), "latent": 3, "seed": 3, "dtype": np.float64, **options}
    return copy["models.vae"].VAE(**settings)


def constant(copy, logit, mu=0.0, logvar=0.0, **options):
    """A VAE whose weights are 0, so that every image has the same code and the same pixels, whatever z is."""
    model = vae(copy, **options)
    model.buffer.values[:] = 0
    model.encoder.layers[2].b.value[:] = np.repeat([mu, logvar], model.latent)
    model.decoder.layers[2].b.value[:] = logit
    return model


def normal(step, rows, columns):
    """Noise of a layer's own: (rows, columns) float64, another for every step."""
    return rng.normal(0, rng.CHECK, 400 + step, np.arange(rows), columns, np.float64)


def train(copy, model, data, **options):
    """Train with the copy's own loop, quietly, in one thread → its records"""
    max_steps = options.pop("max_steps", None)
    training = copy["training"]
    trainer = training.Trainer(model, data, training.Settings(**{"epochs": 1, "batch_size": 8, **options}))
    return trainer.run(progress=False, max_steps=max_steps, threads=1)
