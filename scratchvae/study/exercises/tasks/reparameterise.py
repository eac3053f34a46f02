"""reparameterise: where a gradient check passes a wrong model, and a distribution test does not."""

import numpy as np

from .... import rng
from ....ops import numpy as ops
from ..exam import Spec, Wrong
from .draws import BATCHES, draw, sized

TITLE = "the reparameterisation trick"
EQUATIONS = ("E13", "E14")
WRITE = ("reparameterise", "reparameterise_backward")
HINTS = (
    "eps has mean 0 and variance 1. Which two things do you do to it to give it another mean and another spread?",
    "What multiplies eps is the standard deviation, the root of the variance; and logvar is the logarithm of the variance. "
    "What does a root become under a logarithm?",
    "For the gradient, hold eps fixed and differentiate z, entry by entry. logvar stands inside an exponential, together "
    "with a number: the chain rule brings both out.",
)
N = 20_000


def reparameterise(mu, logvar, eps):
    return ops.reparameterise(mu, logvar, eps, np.empty_like(mu), np.empty_like(mu))


def reparameterise_backward(dz, logvar, eps):
    dmu, dlogvar = np.empty_like(dz), np.empty_like(dz)
    ops.reparameterise_backward(dz, eps, np.exp(0.5 * logvar), dmu, dlogvar)
    return dmu, dlogvar


def known_forward(mu, logvar, eps):
    return {"z": [
        (mu + np.exp(logvar) * eps, "spreads too far: what multiplies eps is the variance, and should be the standard deviation"),
        (mu + logvar * eps, "uses logvar as if it were the spread itself: it is a logarithm"),
        (mu + np.exp(0.5 * logvar) + eps, "adds three things: eps should be stretched, and only then moved"),
        (mu + np.exp(2 * logvar) * eps, "spreads too far: the logarithm of a root is half of the logarithm, not twice"),
    ]}  # fmt: skip


def known(dz, logvar, eps):
    std = np.exp(0.5 * logvar)
    return {"dlogvar": [
        (dz * eps * std, "is twice too large everywhere: what does the chain rule take out of the exponent?"),
        (0.5 * dz * eps * std**2, "holds the variance where the standard deviation belongs"),
        (dz * eps * std**2, "is the gradient of a z that was spread by the variance, not by the standard deviation"),
        (0.5 * dz * std, "lacks eps: how far logvar moves z depends on the draw"),
        (0.5 * eps * std, "does not use dz"),
        (0.5 * dz * eps, "lacks the spread: the derivative of an exponential is the exponential again"),
    ], "dmu": [(dz * eps, "has a factor eps too many: eps does not stand beside mu")]}  # fmt: skip


def slope(call, dz, logvar, eps):
    return {
        "dmu": (lambda v: dz * call("reparameterise", v, logvar, eps), np.ones_like(dz)),
        "dlogvar": (lambda v: dz * call("reparameterise", np.ones_like(dz), v, eps), logvar),
    }


def moments(exam):
    """Of many draws: the variance of a variance estimate is 2/N, of a mean σ²/N; 5 standard errors fail by chance once in a million."""
    eps = rng.normal(7, rng.CHECK, 0, np.arange(N), 1, np.float64)
    for mean, variance in ((0.5, 1.0), (-2.0, 9.0), (3.0, 0.01)):
        mu, logvar = np.full((N, 1), mean), np.full((N, 1), np.log(variance))
        z = exam.call("reparameterise", mu, logvar, eps, inputs=("mu", "logvar", "eps"))
        if abs(z.mean() - mean) > 5 * np.sqrt(variance / N):
            raise Wrong(f"the mean of {N:,} draws is {z.mean():.4g}, and mu says {mean:g}")
        if abs(z.var() / variance - 1) > 5 * np.sqrt(2 / N):
            raise Wrong(f"the variance of {N:,} draws is {z.var():.4g}, and logvar says exp({np.log(variance):.4g}) = {variance:g}")
    return f"mean and variance of {N:,} draws"


def examine(exam):
    cases = sized("BL", BATCHES, lambda B, L: (draw(1, B, L), draw(2, B, L), draw(3, B, L)))
    names = "mu", "logvar", "eps"
    narrow = [("logvar = −1000", tuple(np.full((1, 2), v) for v in (1.0, -1000.0, 1.0)))]
    exam.examine(Spec("reparameterise", names, ("z",), reparameterise, cases, known_forward, extremes=narrow))
    exam.layer("reparameterise", "distribution", lambda: moments(exam), exam.failed("reparameterise", "shapes and dtypes"))
    exam.examine(Spec("reparameterise_backward", ("dz", "logvar", "eps"), ("dmu", "dlogvar"), reparameterise_backward, cases, known,
                      slope, "reparameterise", narrow))  # fmt: skip
