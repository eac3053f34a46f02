"""Do samples have the distribution that the formulas declare?"""

import numpy as np

from . import small


def distributions(copy):
    """checks/moments.py, and what a model itself draws: its pixels and its z."""
    moments = copy["checks.moments"]
    for moment in moments.check_moments():
        yield moment.ok, moment.z_score, str(moment)
    mean = copy["models.likelihood"].Bernoulli().mean
    pixels = moments.bernoulli_pixels_have_their_mean(1.2, probability=mean)
    yield pixels.ok, pixels.z_score, f"pixels drawn with the model's own probability, {pixels}"
    z = _prior_draws(copy, 5_000)
    for name, off in (("mean 0", z.mean() * np.sqrt(z.size)), ("variance 1", ((z**2).mean() - 1) * np.sqrt(z.size / 2))):
        yield abs(off) < 4, off, f"z behind a model's samples should have {name}: {off:+.1f} standard errors off"


def _prior_draws(copy, n):
    """What `sample` decodes, seen through a decoder that changes nothing.   → (n, 3)"""
    model = small.vae(copy, data_size=3, hidden=(), likelihood="gaussian", sigma=1.0)
    model.decoder.layers[0].W.value[:] = np.eye(3)
    model.decoder.layers[0].b.value[:] = 0
    return model.sample(n)
