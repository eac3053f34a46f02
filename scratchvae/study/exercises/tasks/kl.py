"""kl: a closed form, held against the average that it is the closed form of."""

import numpy as np

from .... import rng
from ....ops import numpy as ops
from ..exam import Spec, Wrong
from .draws import BATCHES, draw, sized

TITLE = "the KL divergence from the prior"
EQUATIONS = ("E15", "E16")
WRITE = ("gaussian_kl", "gaussian_kl_backward")
HINTS = (
    "The divergence is 0 when mu = 0 and the variance is 1, and nowhere negative. Test your formula there before anything "
    "else.",
    "Write the logarithm of both densities down, subtract, and take the mean over z drawn from the first one. You need two "
    "facts: what the means of (z − mu)² and of z² are. Four terms remain.",
    "Sum over the latents, keep the images apart. For the gradient, each latent stands alone: differentiate the four terms "
    "one by one. By mu, three of them vanish; by logvar, two, and one becomes a constant. Then each row times its dkl.",
)
N = 20_000


def kl(mu, logvar):
    return ops.gaussian_kl(mu, logvar, np.empty(len(mu)), (np.empty_like(mu), np.empty_like(mu)))


def backward(dkl, mu, logvar):
    dmu, dlogvar = np.empty_like(mu), np.empty_like(mu)
    ops.gaussian_kl_backward(dkl, mu, logvar, dmu, dlogvar)
    return dmu, dlogvar


def known_forward(mu, logvar):
    var, total = np.exp(logvar), lambda a: 0.5 * np.sum(a, axis=1)
    return {"kl": [
        (total(mu**2 + var**2 - 1 - 2 * logvar), "takes logvar for the logarithm of σ: it is the logarithm of σ²"),
        (total(mu**2 + np.sqrt(var) - 1 - 0.5 * logvar), "uses σ in places of σ²: logvar is the logarithm of σ²"),
        (total(mu**2 + np.sqrt(var) - 1 - logvar), "uses σ where σ² stands: logvar is the logarithm of σ²"),
        (total(mu**2 + var - 1 - 0.5 * logvar), "takes the logarithm of σ where that of σ² stands"),
        (total(mu**2 + var - 1 + logvar), "has the wrong sign before logvar: at small variances it should grow"),
        (total(mu**2 + var - logvar), "is not 0 for mu = 0 and variance 1: a constant is missing"),
        (total(mu + var - 1 - logvar), "changes with the sign of mu: the prior lies in the middle"),
        (total(var - 1 - logvar), "does not use mu"),
        (total(mu**2 + logvar - 1 - np.log(np.abs(logvar))), "takes logvar for the variance itself"),
    ]}  # fmt: skip


def known_backward(dkl, mu, logvar):
    dmu, dlogvar = backward(np.ones_like(dkl), mu, logvar)
    of_row = dkl[:, None]
    return {
        "dmu": [(dmu, "does not use dkl"), (dkl.mean() * mu, "takes one number for all rows: dkl has one for each")],
        "dlogvar": [
            (dlogvar, "does not use dkl"),
            (dkl.mean() * dlogvar, "takes one number for all rows: dkl has one for each"),
            (0.5 * of_row * np.exp(logvar), "is not 0 at variance 1, where the divergence is smallest: a constant is missing"),
            (0.5 * of_row * (1 - np.exp(-logvar)), "is the derivative by the variance: by its logarithm, the chain rule adds a factor"),
            (0.5 * of_row * (np.exp(0.5 * logvar) - 1), "uses σ in place of σ²"),
        ],
    }


def slope(call, dkl, mu, logvar):
    return {
        "dmu": (lambda v: dkl * call("gaussian_kl", v, logvar), mu),
        "dlogvar": (lambda v: dkl * call("gaussian_kl", mu, v), logvar),
    }


def monte_carlo(exam):
    """The mean of log q(z) − log p(z) over draws z from q is the divergence: no closed form is needed to measure it."""
    mu, logvar = np.array([[0.8, -0.5]]), np.array([[-1.0, 0.6]])
    eps = rng.normal(8, rng.CHECK, 0, np.arange(N), 2, np.float64)
    z = mu + np.exp(0.5 * logvar) * eps
    terms = 0.5 * np.sum(z**2 - eps**2 - logvar, axis=1)
    got, error = float(exam.call("gaussian_kl", mu, logvar, inputs=("mu", "logvar"))[0]), float(terms.std() / np.sqrt(N))
    if not abs(got - terms.mean()) < 5 * error:
        measured = f"the mean of log q(z) − log p(z) over {N:,} draws of z is {terms.mean():.3f} ± {error:.3f}"
        raise Wrong(f"{measured}; your closed form says {got:.3f}")
    return f"equals the mean of log q(z) − log p(z) over {N:,} draws"


def examine(exam):
    forward = sized("BL", BATCHES, lambda B, L: (draw(1, B, L), draw(2, B, L)))
    scaled = sized("BL", BATCHES, lambda B, L: (draw(3, B), draw(1, B, L), draw(2, B, L)))
    narrow = np.ones((1, 2)), np.full((1, 2), -1000.0)
    exam.examine(Spec("gaussian_kl", ("mu", "logvar"), ("kl",), kl, forward, known_forward, extremes=[("logvar = −1000", narrow)]))
    exam.layer("gaussian_kl", "distribution", lambda: monte_carlo(exam), exam.failed("gaussian_kl", "shapes and dtypes"))
    exam.examine(Spec("gaussian_kl_backward", ("dkl", "mu", "logvar"), ("dmu", "dlogvar"), backward, scaled, known_backward, slope,
                      "gaussian_kl", [("logvar = −1000", (np.full(1, 0.7), *narrow))]))  # fmt: skip
