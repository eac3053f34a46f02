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
    z = _prior_draws(copy)
    for name, off in (("mean 0", z.mean() * np.sqrt(z.size)), ("variance 1", ((z**2).mean() - 1) * np.sqrt(z.size / 2))):
        yield abs(off) < 4, off, f"z behind a model's samples should have {name}: {off:+.1f} standard errors off"


def _prior_draws(copy):
    """What `sample` hands to the decoder.   → (100, 40)"""
    model = small.vae(copy, latent=40)
    decode, handed = model.decoder.forward, []
    model.decoder.forward = lambda z: (handed.append(z.copy()), decode(z))[1]
    model.sample(100)  # few enough to be decoded at once, by this model and no replica
    return np.concatenate(handed)
