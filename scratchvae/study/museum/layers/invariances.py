"""What must not change, or must change in proportion, when the question is put differently. No reference value is needed."""

import numpy as np

from . import small


def invariances(copy):
    """An image's loss does not depend on its batch; gradients add up; twice the pixels, twice the nats; a network that is
    mirrored sees a mirrored image as it saw the image."""
    model = small.vae(copy)
    x, eps = small.images(7) / 255, small.normal(0, 7, model.latent)
    whole = _terms(model, x, eps)
    parts = [_terms(model, x[rows], eps[rows]) for rows in (slice(0, 2), slice(2, 7))]
    holds, worst = _close(whole, np.concatenate(parts))
    yield holds, worst, f"an image's loss changes by {worst:.1e} of itself when its batch is split"

    order = np.arange(7)[::-1]
    holds, worst = _close(whole[order], _terms(model, x[order], eps[order]))
    yield holds, worst, f"an image's loss changes by {worst:.1e} of itself when the batch is turned round"

    gradients = [_gradient(model, x[rows], eps[rows]) for rows in (slice(0, 7), slice(0, 2), slice(2, 7))]
    holds, worst = _close(gradients[0], gradients[1] + gradients[2])
    yield holds, worst, f"the gradient of a batch and the sum over its parts differ by {worst:.1e}"

    ops = copy["ops.numpy"]
    logits = small.normal(1, 7, small.PIXELS)
    for name, nll in (("Bernoulli", _bernoulli(ops)), ("Gaussian", _gaussian(ops))):
        once, twice = nll(logits, x), nll(np.tile(logits, 2), np.tile(x, 2))
        ratio = float((twice / once).mean())
        holds, _ = _close(2 * once, twice)
        yield holds, ratio, f"{name}: an image repeated beside itself has {ratio:.3g} times the nats, and should have twice"

    images = small.pictures(copy, 8).train.images / 255
    pictures = images.reshape(-1, small.SIDE, small.SIDE)
    networks = ("U-Net", small.unet(copy), _classes), ("hourglass", small.hourglass(copy, stride=1), _maps)
    for name, model, says in networks:
        once = says(model, images)
        for _, parameter in model.parameters():
            if parameter.value.ndim == 4:  # a kernel (rows, columns, …)
                parameter.value[:] = parameter.value[:, ::-1].copy()
        mirrored = says(model, pictures[:, :, ::-1].reshape(len(images), -1))[:, :, ::-1]
        holds, worst = _close(mirrored, once)
        what = f"what the {name} says of a mirrored image, its kernels mirrored too,"
        yield holds, worst, f"{what} is off by {worst:.1e} of itself"


def _classes(model, images):
    return model.net.forward(images).copy()


def _maps(model, images):
    return model.heat(images)[-1].copy()


def _terms(model, x, eps):
    return np.sum(model.forward(x, eps), axis=0)


def _gradient(model, x, eps):
    model.buffer.grads[:] = 0
    model.forward(x, eps)
    model.descend(np.ones(len(x)))
    return model.buffer.grads.copy()


def _bernoulli(ops):
    return lambda a, x: ops.bernoulli_nll(a, x, np.empty(len(x)), (np.empty_like(x), np.empty_like(x))).copy()


def _gaussian(ops):
    return lambda m, x: ops.gaussian_nll(m, np.zeros(1), x, np.empty(len(x)), np.empty_like(x)).copy()


def _close(got, wanted):
    worst = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    return worst < 1e-12, worst
