"""Is a reported figure what it is called: of the split, the estimator and the number of samples that it names?"""

import numpy as np

from .... import rng
from . import small
from .verdict import near


def evaluation(copy):
    """Test images change no weight and are the ones evaluated; z is sampled; as many samples are drawn as were asked for; an image's
    loss does not depend on which others are looked at with it."""
    images, test, other = small.images(24), small.images(10, seed=1), small.images(10, seed=2)
    trained = [small.vae(copy) for _ in range(2)]
    for model, held_out in zip(trained, (test, other), strict=True):
        records = small.train(copy, model, small.dataset(copy, images, held_out))
    worst = float(np.abs(trained[0].buffer.values - trained[1].buffer.values).max())
    yield worst == 0, worst, f"trained on the same images, two models differ by {worst:.1e} because their test images differ"

    model, x = trained[1], other / 255
    by_hand = _minus_elbo(model, x, 1)
    got = next(record["loss"] for record in records if record["split"] == "test")
    yield near(got, by_hand, 1e-9)[0], got, f"the test loss in the training log should be {by_hand:.4f} nats, and is {got:.6g}"
    for samples in (1, 20):
        by_hand = _minus_elbo(model, x, samples)
        got = copy["evaluate"].measure(model, small.dataset(copy, images, other), samples=samples, threads=1)["-ELBO"].value
        yield (
            near(got, by_hand, 1e-9)[0],
            got,
            (
                f"−ELBO with z sampled, {samples} draw{'s' * (samples > 1)} per image, is {by_hand:.4f} nats, and {got:.4f} is reported"
            ),
        )

    data = small.pictures(copy, 8)
    model = small.unet(copy, norm="batch")
    small.train(copy, model, data, lr=1e-2)
    fields = [data.train.fields[name] for name in model.reads]
    together, alone = (float(model.forward(fields[0][:n] / 255, fields[1][:n])[0][0]) for n in (8, 1))
    what = f"a trained U-Net's loss of an image is {alone:.4f} nats alone, and {together:.4f} among others"
    yield near(together, alone, 1e-9)[0], together, what

    museum = copy["study.museum.iwae"]
    model = museum.IWAE(small.PIXELS, (8,), 3, seed=3, dtype=np.float64)
    got = float(museum.log_likelihood(model, x, 120).mean())
    by_hand = float(np.logaddexp.reduce(_log_weights(model, x, 120), axis=1).mean() - np.log(120))
    yield (
        near(got, by_hand, 1e-9)[0],
        got,
        f"log p(x) with 120 importance samples is {by_hand:.5f} nats, and {got:.5f} is reported",
    )


def _minus_elbo(model, x, samples):
    """−ELBO by the rule that `image_terms` states for its noise."""
    draws = [_noise(model, k, len(x)) for k in range(samples)]
    return float(np.mean([sum(term.sum() for term in model.forward(x, eps)) for eps in draws]) / len(x))


def _log_weights(model, x, samples):
    return np.stack([model.log_weights(x, _noise(model, k, len(x)))[:, 0].copy() for k in range(samples)], axis=1)


def _noise(model, k, rows):
    return rng.normal(0, rng.EVALUATE, k, np.arange(rows), model.latent, np.float64)
